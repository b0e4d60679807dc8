//! The key space: reads and writes.

mod answer;
mod compact;
mod delete;
mod get;
mod key;
mod pages;
mod put;
mod stream;

pub use self::answer::{CompactAnswer, DeleteAnswer, GetAnswer, Header, KeyValue, PutAnswer};
pub use self::compact::Compact;
pub use self::delete::{Delete, delete};
pub use self::get::{Get, Order, SortBy, get};
pub use self::key::{IntoBytes, KeyRange, all, from_key, prefix, range};
pub use self::pages::Pages;
pub use self::put::{Put, put};
pub use self::stream::Rows;
