//! The deployments.

/// Settings as they are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// On the command line.
    Flags(&'static [&'static str]),
    /// In the environment.
    Environment(&'static [(&'static str, &'static str)]),
    /// In a configuration file.
    File(&'static str),
    /// Not at all.
    Nothing,
}

/// Whether the TLS settings of a deployment take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// They do not.
    None,
    /// They do.
    Tls,
}

/// One deployment. `{client}`, `{peer}` and `{metrics}` are ports, `{data}` and `{pki}` are directories, `{scheme}` is
/// `http` or `https`.
#[derive(Debug)]
pub(crate) struct Deployment {
    /// Where such settings are found.
    pub(crate) name: &'static str,
    /// What it sets beside TLS.
    pub(crate) plain: Given,
    /// What it sets for TLS. The files that it names in `{pki}` are those of [`PKI`].
    pub(crate) tls: Given,
}

/// The files with certificates and keys that the deployments name: CAs, then certificates with their keys.
pub(crate) const PKI: (&[&str], &[(&str, &str)]) = (
    &["ca.crt", "ca.pem", "server-ca.crt", "peer-ca.crt"],
    &[
        ("server.crt", "server.key"),
        ("peer.crt", "peer.key"),
        ("cert.pem", "key.pem"),
        ("member-node1.pem", "member-node1-key.pem"),
        ("server-client.crt", "server-client.key"),
        ("peer-server-client.crt", "peer-server-client.key"),
    ],
);

/// All of them.
pub(crate) const DEPLOYMENTS: &[Deployment] = &[
    Deployment {
        name: "kubeadm, the static pod of a control plane",
        plain: Given::Flags(&[
            "--advertise-client-urls={scheme}://127.0.0.1:{client}",
            "--data-dir={data}",
            "--feature-gates=InitialCorruptCheck=true",
            "--watch-progress-notify-interval=5s",
            "--initial-advertise-peer-urls={scheme}://127.0.0.1:{peer}",
            "--initial-cluster=control-plane-1={scheme}://127.0.0.1:{peer}",
            "--listen-client-urls={scheme}://127.0.0.1:{client}",
            "--listen-metrics-urls=http://127.0.0.1:{metrics}",
            "--listen-peer-urls={scheme}://127.0.0.1:{peer}",
            "--name=control-plane-1",
            "--snapshot-count=10000",
        ]),
        tls: Given::Flags(&[
            "--cert-file={pki}/server.crt",
            "--client-cert-auth=true",
            "--key-file={pki}/server.key",
            "--peer-cert-file={pki}/peer.crt",
            "--peer-client-cert-auth=true",
            "--peer-key-file={pki}/peer.key",
            "--peer-trusted-ca-file={pki}/ca.crt",
            "--trusted-ca-file={pki}/ca.crt",
        ]),
    },
    Deployment {
        name: "etcd-operator, the command of a pod",
        plain: Given::Flags(&[
            "--data-dir={data}",
            "--name=example-0",
            "--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            "--listen-peer-urls=http://0.0.0.0:{peer}",
            "--listen-client-urls=http://0.0.0.0:{client}",
            "--advertise-client-urls=http://127.0.0.1:{client}",
            "--initial-cluster=example-0=http://127.0.0.1:{peer}",
            "--initial-cluster-state=new",
            "--initial-cluster-token=3f1c8e5a-0000-4000-8000-2f6d2f6d2f6d",
        ]),
        tls: Given::Nothing,
    },
    Deployment {
        name: "the chart of Bitnami, the environment of a pod",
        plain: Given::Environment(&[
            ("BITNAMI_DEBUG", "false"),
            ("ALLOW_NONE_AUTHENTICATION", "yes"),
            ("MY_POD_NAME", "etcd-0"),
            ("ETCDCTL_API", "3"),
            ("ETCD_ON_K8S", "yes"),
            ("ETCD_START_FROM_SNAPSHOT", "no"),
            ("ETCD_DISASTER_RECOVERY", "no"),
            ("ETCD_NAME", "etcd-0"),
            ("ETCD_DATA_DIR", "{data}"),
            ("ETCD_LOG_LEVEL", "info"),
            ("ETCD_ADVERTISE_CLIENT_URLS", "{scheme}://127.0.0.1:{client},{scheme}://localhost:{client}"),
            ("ETCD_LISTEN_CLIENT_URLS", "{scheme}://0.0.0.0:{client}"),
            ("ETCD_INITIAL_ADVERTISE_PEER_URLS", "http://127.0.0.1:{peer}"),
            ("ETCD_LISTEN_PEER_URLS", "http://0.0.0.0:{peer}"),
            ("ETCD_INITIAL_CLUSTER_TOKEN", "etcd-cluster-k8s"),
            ("ETCD_INITIAL_CLUSTER_STATE", "new"),
            ("ETCD_INITIAL_CLUSTER", "etcd-0=http://127.0.0.1:{peer}"),
            ("ETCD_AUTO_COMPACTION_MODE", "periodic"),
            ("ETCD_AUTO_COMPACTION_RETENTION", "10"),
        ]),
        tls: Given::Environment(&[
            ("ETCD_AUTO_TLS", "true"),
            ("ETCD_CERT_FILE", "{pki}/cert.pem"),
            ("ETCD_KEY_FILE", "{pki}/key.pem"),
        ]),
    },
    Deployment {
        name: "the chart of Milvus, the environment of its etcd",
        plain: Given::Environment(&[
            ("ETCD_NAME", "milvus-etcd-0"),
            ("ETCD_DATA_DIR", "{data}"),
            ("ETCD_LOG_LEVEL", "INFO"),
            ("ETCD_AUTO_COMPACTION_MODE", "revision"),
            ("ETCD_AUTO_COMPACTION_RETENTION", "1000"),
            ("ETCD_QUOTA_BACKEND_BYTES", "4294967296"),
            ("ETCD_SNAPSHOT_COUNT", "50000"),
            ("ETCD_HEARTBEAT_INTERVAL", "500"),
            ("ETCD_ELECTION_TIMEOUT", "2500"),
            ("ETCD_LISTEN_CLIENT_URLS", "{scheme}://0.0.0.0:{client}"),
            ("ETCD_ADVERTISE_CLIENT_URLS", "http://127.0.0.1:{client}"),
            ("ETCD_LISTEN_PEER_URLS", "http://0.0.0.0:{peer}"),
            ("ETCD_INITIAL_ADVERTISE_PEER_URLS", "http://127.0.0.1:{peer}"),
            ("ETCD_INITIAL_CLUSTER", "milvus-etcd-0=http://127.0.0.1:{peer}"),
            ("ETCD_INITIAL_CLUSTER_STATE", "new"),
        ]),
        tls: Given::Nothing,
    },
    Deployment {
        name: "kubespray, the environment file of a host",
        plain: Given::Environment(&[
            ("ETCD_DATA_DIR", "{data}"),
            ("ETCD_ADVERTISE_CLIENT_URLS", "{scheme}://127.0.0.1:{client}"),
            ("ETCD_INITIAL_ADVERTISE_PEER_URLS", "{scheme}://127.0.0.1:{peer}"),
            ("ETCD_INITIAL_CLUSTER_STATE", "new"),
            ("ETCD_METRICS", "basic"),
            ("ETCD_LISTEN_METRICS_URLS", "http://127.0.0.1:{metrics}"),
            ("ETCD_LISTEN_CLIENT_URLS", "{scheme}://127.0.0.1:{client},{scheme}://127.0.0.1:{client}"),
            ("ETCD_ELECTION_TIMEOUT", "5000"),
            ("ETCD_HEARTBEAT_INTERVAL", "250"),
            ("ETCD_INITIAL_CLUSTER_TOKEN", "k8s_etcd"),
            ("ETCD_LISTEN_PEER_URLS", "{scheme}://127.0.0.1:{peer}"),
            ("ETCD_NAME", "etcd1"),
            ("ETCD_INITIAL_CLUSTER", "etcd1={scheme}://127.0.0.1:{peer}"),
            ("ETCD_AUTO_COMPACTION_RETENTION", "8"),
            ("ETCD_SNAPSHOT_COUNT", "100000"),
            ("ETCD_QUOTA_BACKEND_BYTES", "2147483648"),
            ("ETCD_MAX_REQUEST_BYTES", "1572864"),
            ("ETCD_LOG_LEVEL", "info"),
            ("ETCD_MAX_SNAPSHOTS", "5"),
            ("ETCD_MAX_WALS", "5"),
            ("ETCDCTL_ENDPOINTS", "https://127.0.0.1:2379"),
        ]),
        tls: Given::Environment(&[
            ("ETCD_TRUSTED_CA_FILE", "{pki}/ca.pem"),
            ("ETCD_CERT_FILE", "{pki}/member-node1.pem"),
            ("ETCD_KEY_FILE", "{pki}/member-node1-key.pem"),
            ("ETCD_CLIENT_CERT_AUTH", "true"),
            ("ETCD_PEER_TRUSTED_CA_FILE", "{pki}/ca.pem"),
            ("ETCD_PEER_CERT_FILE", "{pki}/member-node1.pem"),
            ("ETCD_PEER_KEY_FILE", "{pki}/member-node1-key.pem"),
            ("ETCD_PEER_CLIENT_CERT_AUTH", "true"),
        ]),
    },
    Deployment {
        name: "k3s, the file that it writes for its embedded etcd",
        plain: Given::File(
            "advertise-client-urls: {scheme}://127.0.0.1:{client}\n\
             data-dir: {data}\n\
             election-timeout: 5000\n\
             experimental-initial-corrupt-check: true\n\
             experimental-watch-progress-notify-interval: 5000000000\n\
             heartbeat-interval: 500\n\
             initial-advertise-peer-urls: {scheme}://127.0.0.1:{peer}\n\
             initial-cluster: server-1={scheme}://127.0.0.1:{peer}\n\
             initial-cluster-state: new\n\
             listen-client-urls: {scheme}://127.0.0.1:{client}\n\
             listen-metrics-urls: http://127.0.0.1:{metrics}\n\
             listen-peer-urls: {scheme}://127.0.0.1:{peer}\n\
             log-outputs:\n- stderr\n\
             logger: zap\n\
             name: server-1\n\
             snapshot-count: 10000\n",
        ),
        tls: Given::File(
            "client-transport-security:\n  \
               cert-file: {pki}/server-client.crt\n  \
               client-cert-auth: true\n  \
               key-file: {pki}/server-client.key\n  \
               trusted-ca-file: {pki}/server-ca.crt\n\
             peer-transport-security:\n  \
               cert-file: {pki}/peer-server-client.crt\n  \
               client-cert-auth: true\n  \
               key-file: {pki}/peer-server-client.key\n  \
               trusted-ca-file: {pki}/peer-ca.crt\n",
        ),
    },
    Deployment {
        name: "etcd, the sample of a configuration file",
        plain: Given::File(
            "name: 'default'\n\
             data-dir: {data}\n\
             wal-dir:\n\
             snapshot-count: 10000\n\
             heartbeat-interval: 100\n\
             election-timeout: 1000\n\
             quota-backend-bytes: 0\n\
             listen-peer-urls: http://localhost:{peer}\n\
             listen-client-urls: http://localhost:{client}\n\
             max-snapshots: 5\n\
             max-wals: 5\n\
             cors:\n\
             initial-advertise-peer-urls: http://localhost:{peer}\n\
             advertise-client-urls: http://localhost:{client}\n\
             discovery:\n\
             discovery-fallback: 'proxy'\n\
             discovery-proxy:\n\
             discovery-srv:\n\
             initial-cluster: default=http://localhost:{peer}\n\
             initial-cluster-token: 'etcd-cluster'\n\
             initial-cluster-state: 'new'\n\
             strict-reconfig-check: false\n\
             enable-pprof: true\n\
             proxy: 'off'\n\
             proxy-failure-wait: 5000\n\
             proxy-read-timeout: 0\n\
             client-transport-security:\n  \
               cert-file:\n  key-file:\n  client-cert-auth: false\n  trusted-ca-file:\n  auto-tls: false\n\
             peer-transport-security:\n  \
               cert-file:\n  key-file:\n  client-cert-auth: false\n  trusted-ca-file:\n  auto-tls: false\n  \
               allowed-cn:\n  allowed-hostname:\n\
             self-signed-cert-validity: 1\n\
             log-level: debug\n\
             logger: zap\n\
             log-outputs: [stderr]\n\
             force-new-cluster: false\n\
             auto-compaction-mode: periodic\n\
             auto-compaction-retention: \"1\"\n\
             cipher-suites: [\n  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,\n  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\n]\n\
             tls-min-version: 'TLS1.2'\n\
             tls-max-version: 'TLS1.3'\n",
        ),
        tls: Given::Nothing,
    },
    Deployment {
        name: "Patroni, the environment of its documentation",
        plain: Given::Environment(&[
            ("ETCD_NAME", "node1"),
            ("ETCD_DATA_DIR", "{data}"),
            ("ETCD_INITIAL_CLUSTER", "node1=http://127.0.0.1:{peer}"),
            ("ETCD_INITIAL_ADVERTISE_PEER_URLS", "http://127.0.0.1:{peer}"),
            ("ETCD_INITIAL_CLUSTER_TOKEN", "devops_token"),
            ("ETCD_ADVERTISE_CLIENT_URLS", "http://127.0.0.1:{client}"),
            ("ETCD_LISTEN_CLIENT_URLS", "{scheme}://0.0.0.0:{client}"),
            ("ETCD_LISTEN_PEER_URLS", "http://0.0.0.0:{peer}"),
            ("ETCD_ENABLE_V2", "true"),
        ]),
        tls: Given::Nothing,
    },
];
