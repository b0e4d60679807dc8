//! An async client for Quorate and etcd.
