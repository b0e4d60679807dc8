//! The configuration as a whole: from a command line, an environment or a file to what the server is told.

use super::*;

fn load(line: &[&str], environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let line: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    match Config::load(&line, &environment)? {
        Invocation::Serve(config) => Ok(*config),
        Invocation::Print(text) => panic!("prints {text}"),
    }
}

fn refusal(line: &[&str]) -> (String, u8) {
    let error = load(line, &[]).unwrap_err();
    (error.to_string(), error.exit_code())
}

#[test]
fn flags_of_a_follow_are_refused_in_combinations_that_make_no_sense() {
    for (line, named) in [
        (&["--follow-user", "u"][..], "--follow-user and --follow-password-file go together"),
        (&["--follow-key", "k"], "--follow-cert and --follow-key go together"),
        (&["--follow-cacert", "ca"], "--follow-endpoints does not say which"),
        (&["--follow-user", "u", "--follow-password-file", "p"], "--follow-endpoints does not say which"),
    ] {
        let (text, _) = refusal(line);
        assert!(text.contains(named), "{line:?}: {text}");
    }
    let line = ["--follow-endpoints", "a:1,https://b:2", "--follow-user", "u", "--follow-password-file", "p"];
    let follow = load(&line, &[]).unwrap().follow.unwrap();
    assert_eq!(follow.endpoints, ["a:1", "https://b:2"]);
    assert_eq!(follow.user, Some(("u".to_owned(), "p".into())));
    assert_eq!(load(&[], &[]).unwrap().follow, None);
}

#[test]
fn the_defaults_are_etcds() {
    let config = Config::default();
    assert_eq!(config.name, "default");
    assert_eq!(config.data_dir, PathBuf::from("default.etcd"));
    assert_eq!(url::join(&config.listen.client), "http://localhost:2379");
    assert_eq!(url::join(&config.listen.peer), "http://localhost:2380");
    assert_eq!(config.raft.election_timeout_ticks(), 10);
    assert_eq!(config.limits.quota, Quota::DEFAULT);
    assert_eq!((config.limits.request_bytes_max, config.limits.txn_ops_max), (1_572_864, 128));
    assert_eq!(config.limits.concurrent_streams_max, u32::MAX);
    assert_eq!(config.keepalive.interval, Some(Duration::from_secs(7200)));
    assert_eq!(config.watch_progress_notify_interval, Duration::from_secs(600));
    assert_eq!(config.warnings.unary_request, Duration::from_millis(300));
    assert_eq!(config.auto_compaction, AutoCompaction::Off);
    assert_eq!(config.log.outputs, [LogOutput::Stderr]);
    assert_eq!(config.cluster.initial.keys().collect::<Vec<_>>(), ["default"]);
    assert_eq!(config.http, HttpAccess { cors: Allowed::All, hosts: Allowed::All, profiles: false });
}

#[test]
fn every_rule_of_etcd_has_its_words() {
    let client = "--listen-client-urls=http://127.0.0.1:1";
    let cases: &[(&[&str], &str)] = &[
        (
            &["--initial-cluster=a=http://x:1", "--discovery-srv=d"],
            "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \"discovery-endpoints\" or \"discovery-srv\"",
        ),
        (&[client], "--advertise-client-urls is required when --listen-client-urls is set explicitly"),
        (
            &["--listen-client-urls=http://example.org:1", "--advertise-client-urls=http://a:1"],
            "expected IP in URL for binding (http://example.org:1)",
        ),
        (
            &["--listen-metrics-urls=http://example.org:1"],
            "expected IP in URL for binding (http://example.org:1)",
        ),
        (&["--heartbeat-interval=0"], "--heartbeat-interval must be >0 (set to 0ms)"),
        (&["--election-timeout=0"], "--election-timeout must be >0 (set to 0ms)"),
        (
            &["--heartbeat-interval=201"],
            "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[201ms]",
        ),
        (
            &["--election-timeout=50001"],
            "--election-timeout[50001ms] is too long, and should be set less than 50000ms",
        ),
        (&["--discovery-token=t"], "both --discovery-token and --discovery-endpoints must be set"),
        (
            &["--discovery-endpoints=http://a:1"],
            "both --discovery-token and --discovery-endpoints must be set",
        ),
        (&["--auto-compaction-mode=x"], "unknown auto-compaction-mode \"x\""),
        (&["--compact-hash-check-time=0"], "--compact-hash-check-time must be >0 (set to 0s)"),
        (&["--compact-hash-check-time=-1s"], "--compact-hash-check-time must be >0 (set to -1s)"),
        (
            &["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
            "min version (TLS1.3) is greater than max version (TLS1.2)",
        ),
        (
            &["--tls-min-version=TLS1.3", "--cipher-suites=TLS_AES_128_GCM_SHA256"],
            "cipher suites cannot be configured when only TLS1.3 is enabled",
        ),
        (&["--cipher-suites=A"], "unexpected TLS cipher suite \"A\""),
        (&["--tls-max-version=TLS1.1"], "unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)"),
        (
            &["--feature-gates=LeaseCheckpointPersist=true"],
            "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint",
        ),
        (
            &["--discovery-fallback=proxy"],
            "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"",
        ),
        (
            &["--initial-advertise-peer-urls=http://:2380"],
            "--initial-advertise-peer-urls \"http://:2380\" must be \"host:port\" (unexpected empty host (http://:2380))",
        ),
        (&["--logger=capnslog"], "unknown logger option \"capnslog\""),
        (&["--warning-apply-duration=-1s"], "--warning-apply-duration must not be negative (set to -1s)"),
        (
            &["--auto-compaction-retention=-5"],
            "error parsing CompactionRetention: invalid periodic retention \"-5\"",
        ),
    ];
    for (line, text) in cases {
        assert_eq!(refusal(line), ((*text).to_owned(), 1));
    }
}

#[test]
fn backups_need_a_place_and_times_that_make_sense() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["--backup-interval=1h"],
            "--backup-interval is set, and --backup-to is not: it says where backups go",
        ),
        (
            &["--backup-to=/var/backups"],
            "--backup-to: \"/var/backups\" is no place for backups: it must be file:///directory or s3://bucket/prefix",
        ),
        (
            &["--backup-to=s3://b", "--backup-keep=0"],
            "--backup-keep: \"0\" is neither a number of full backups, from 1 on, nor an age, like 720h",
        ),
        (
            &["--backup-to=s3://b", "--backup-interval=500ms"],
            "--backup-interval must be at least 1s (set to 500ms)",
        ),
    ];
    for (line, text) in cases {
        assert_eq!(refusal(line), ((*text).to_owned(), 1));
    }
    assert_eq!(load(&[], &[]).unwrap().backups, None);
    let line = ["--backup-to=s3://b/p", "--backup-keep=720h", "--backup-piece-interval=0"];
    let backups = load(&line, &[]).unwrap().backups.unwrap();
    assert_eq!(backups.keep, archive::Keep::Age(Duration::from_secs(720 * 3600)));
    assert_eq!((backups.piece_interval, backups.interval), (None, Duration::from_secs(86_400)));
}

#[test]
fn the_collector_of_spans_is_named_with_its_defaults() {
    assert!(load(&[], &[]).unwrap().distributed_tracing.is_none());
    let config =
        load(&["--enable-distributed-tracing", "--distributed-tracing-sampling-rate=7"], &[]).unwrap();
    let tracing = config.distributed_tracing.unwrap();
    assert_eq!((&tracing.address[..], &tracing.service_name[..]), ("localhost:4317", "etcd"));
    assert_eq!((&tracing.instance_id[..], tracing.sampling_rate), ("", 7));
}

/// What is taken must fit into the raft log.
#[test]
fn requests_are_as_long_as_the_log_takes_at_most() {
    let text = "--max-request-bytes[66059749] is too large, and should be set to 66059748 at most, the longest entry that a \
                file of the raft log takes";
    assert_eq!(refusal(&["--max-request-bytes=66059749"]), (text.to_owned(), 1));
    assert!(load(&["--max-request-bytes=66059748"], &[]).is_ok());
    let text = "--memory-limit[1000] is too small, and should be set to 134217728 at least, or to 0 for as much as there is";
    assert_eq!(refusal(&["--memory-limit=1000"]), (text.to_owned(), 1));
    assert_eq!(load(&["--memory-limit=134217728"], &[]).unwrap().limits.memory, Some(128 << 20));
    assert!(load(&[], &[("ETCD_MAX_REQUEST_BYTES", "18446744073709551615")]).is_err());
}

/// What only matters while there is no data does not keep a member that has data from starting, so it is looked at later.
#[test]
fn what_founding_needs_is_kept_for_the_founding() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["--initial-cluster=foo"],
            "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: ",
        ),
        (
            &["--initial-cluster=default=\"http://a:1\""],
            "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: \"http://a:1\"",
        ),
        (
            &["--initial-cluster=default=http://a:1/path"],
            "error setting up initial cluster: URL must not contain a path: http://a:1/path",
        ),
    ];
    for (line, why) in cases {
        assert_eq!(load(line, &[]).unwrap().cluster.cannot_found.as_deref(), Some(*why));
    }
    assert_eq!(load(&["--initial-cluster=default=http://a:1"], &[]).unwrap().cluster.cannot_found, None);
}

#[test]
fn a_level_of_the_log_is_read_as_zap_reads_it() {
    use tracing::Level;
    let levels = [
        ("DEBUG", Level::DEBUG),
        ("Info", Level::INFO),
        ("", Level::INFO),
        ("warning", Level::WARN),
        ("WARNING", Level::WARN),
        ("ERROR", Level::ERROR),
        ("dpanic", Level::ERROR),
        ("Panic", Level::ERROR),
        ("FATAL", Level::ERROR),
    ];
    for (word, level) in levels {
        assert_eq!(load(&[&format!("--log-level={word}")], &[]).unwrap().log.level, level, "{word:?}");
        assert_eq!(load(&[], &[("ETCD_LOG_LEVEL", word)]).unwrap().log.level, level, "{word:?}");
        let mut notices = Vec::new();
        let settings = file::parse("f", &format!("log-level: '{word}'"), &mut notices).unwrap();
        assert_eq!(Config::from_settings(&settings, notices).unwrap().log.level, level, "{word:?}");
    }
    assert!(load(&["--log-level=trace"], &[]).is_err());
}

#[test]
fn what_etcd_takes_without_looking_is_taken() {
    for line in [
        "--metrics=full",
        "--enable-pprof",
        "--tls-max-version=TLS1.3",
        "--cipher-suites=TLS_RSA_WITH_RC4_128_SHA",
    ] {
        assert!(load(&[line], &[]).is_ok(), "{line}");
    }
}

#[test]
fn a_default_given_explicitly_asks_for_nothing() {
    let line = [
        "--auth-token=simple",
        "--tls-min-version=TLS1.2",
        "--cert-file=",
        "--max-learners=1",
        "--client-cert-auth=false",
    ];
    assert!(load(&line, &[]).is_ok());
}

#[test]
fn what_has_no_effect_is_said() {
    let line = [
        "--unsafe-no-fsync",
        "--backend-batch-limit=10",
        "--max-wals=5",
        "--feature-gates=InitialCorruptCheck=true",
    ];
    let config = load(&line, &[]).unwrap();
    let settings: Vec<_> = config
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::NoEffect { setting, .. } => Some(setting.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        settings,
        ["--backend-batch-limit", "--unsafe-no-fsync", "feature gate InitialCorruptCheck=true"]
    );
}

/// Tools search for these words, and so do etcd's own tests.
#[test]
fn flags_that_go_away_are_named_in_etcds_words() {
    let line = ["--max-snapshots=10", "--v2-deprecation=gone"];
    let config = load(&line, &[]).unwrap();
    let deprecated = |notice: &Notice| match notice {
        Notice::Deprecated { text } => Some(text.split(' ').next().unwrap_or_default()),
        _ => None,
    };
    let said: Vec<_> = config.notices.iter().filter_map(deprecated).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.contains(&"--max-snapshots") && said.contains(&"--v2-deprecation"), "{said:?}");
    assert!(load(&[], &[]).unwrap().notices.iter().all(|notice| deprecated(notice).is_none()));
}

#[test]
fn a_name_alone_founds_a_cluster_of_one() {
    let config = load(&["--name=n1", "--initial-advertise-peer-urls=http://10.0.0.1:2380"], &[]).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("n1.etcd"));
    assert_eq!(url::join(&config.cluster.initial["n1"]), "http://10.0.0.1:2380");
}

#[test]
fn version_and_help_come_before_validation_but_after_the_syntax() {
    let print = |line: &[&str]| {
        let line: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        Config::load(&line, &[])
    };
    assert!(
        matches!(print(&["--version", "--election-timeout=0"]), Ok(Invocation::Print(text)) if text.starts_with("etcd Version: "))
    );
    assert!(
        matches!(print(&["--election-timeout=0", "-h"]), Ok(Invocation::Print(text)) if text.starts_with("Usage:"))
    );
    assert_eq!(print(&["--version", "--nosuch"]).unwrap_err().exit_code(), 2);
    assert_eq!(print(&["--version", "x"]).unwrap_err().exit_code(), 1);
}

#[test]
fn a_file_replaces_flags_and_environment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("etcd.conf.yml");
    std::fs::write(&path, "name: from-file\nlisten-client-urls: http://127.0.0.1:5\n").unwrap();
    let path = path.to_str().unwrap();
    type Way<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let ways: [Way<'_>; 2] = [
        (&["--config-file", path, "--name=flag", "--election-timeout=0"], &[("ETCD_NAME", "env")]),
        (&["--name=flag"], &[("ETCD_NAME", "env"), ("ETCD_CONFIG_FILE", path)]),
    ];
    for (line, environment) in ways {
        let config = load(line, environment).unwrap();
        assert_eq!(config.name, "from-file");
        // In a file, etcd lets the default of the advertised URLs stand beside a listen address.
        assert_eq!(url::join(&config.cluster.advertise_client), "http://localhost:2379");
        assert!(config.notices.contains(&Notice::FileLoaded { path: path.to_owned() }));
    }
    let missing = load(&["--config-file=/nosuch/file"], &[]).unwrap_err();
    assert!(missing.to_string().starts_with("open /nosuch/file: "), "{missing}");
    assert_eq!(missing.exit_code(), 1);
}

/// What a script makes of a variable that nobody set.
#[test]
fn urls_without_a_url_are_the_default() {
    let config =
        load(&["--listen-client-urls=", "--advertise-client-urls=", "--listen-peer-urls="], &[]).unwrap();
    for (urls, expected) in [
        (&config.listen.client, "http://localhost:2379"),
        (&config.cluster.advertise_client, "http://localhost:2379"),
        (&config.listen.peer, "http://localhost:2380"),
    ] {
        assert_eq!(url::join(urls), expected);
    }
    // Set all the same: etcd wants to be told what to advertise.
    assert!(load(&["--listen-client-urls="], &[]).is_err());
}

#[test]
fn retentions_are_read_by_mode() {
    let cases: &[(&[&str], AutoCompaction)] = &[
        (&["--auto-compaction-retention=1"], AutoCompaction::Periodic(Duration::from_secs(3600))),
        (&["--auto-compaction-retention=10m"], AutoCompaction::Periodic(Duration::from_secs(600))),
        (&["--auto-compaction-retention=0"], AutoCompaction::Off),
        (&["--auto-compaction-retention="], AutoCompaction::Off),
        (
            &["--auto-compaction-mode=revision", "--auto-compaction-retention=1000"],
            AutoCompaction::Revision(1000),
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(load(line, &[]).unwrap().auto_compaction, *expected, "{line:?}");
    }
    // A duration is nanoseconds, in this mode too, and as many revisions as that: etcd keeps everything, in effect.
    let duration = ["--auto-compaction-mode=revision", "--auto-compaction-retention=10m"];
    assert_eq!(load(&duration, &[]).unwrap().auto_compaction, AutoCompaction::Revision(600_000_000_000));
    assert!(load(&["--auto-compaction-mode=revision", "--auto-compaction-retention=x"], &[]).is_err());
}

#[test]
fn quota_zero_is_the_default_and_negative_is_none() {
    for (text, quota) in [("0", Quota::DEFAULT), ("-1", Quota::None), ("1000", Quota::Bytes(1000))] {
        assert_eq!(load(&[&format!("--quota-backend-bytes={text}")], &[]).unwrap().limits.quota, quota);
    }
}

#[test]
fn timeouts_between_peers_are_five_seconds_at_least() {
    let timeouts = |read: &str, write: &str| {
        let raft = load(&[read, write], &[]).unwrap().raft;
        (raft.read_timeout.as_secs(), raft.write_timeout.as_secs())
    };
    assert_eq!(timeouts("--raft-read-timeout=100ms", "--raft-write-timeout=1s"), (5, 5));
    assert_eq!(timeouts("--raft-read-timeout=7s", "--raft-write-timeout=8s"), (7, 8));
}

#[test]
fn the_log_goes_where_it_is_told() {
    let config = load(&["--log-outputs=stdout,/tmp/q.log,stderr", "--log-level=warn"], &[]).unwrap();
    let expected = [LogOutput::File("/tmp/q.log".into()), LogOutput::Stderr, LogOutput::Stdout];
    assert_eq!(
        (config.log.outputs.as_slice(), config.log.level),
        (expected.as_slice(), tracing::Level::WARN)
    );
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(load(&["--log-format=console"], &[]).unwrap().log.format, LogFormat::Console);
}

#[test]
fn outputs_of_the_log_go_together_as_in_etcd() {
    let single = "--log-outputs requires a single file path when --log-rotate-config-json is defined";
    let cases: &[(&[&str], &str)] = &[
        (&["--log-outputs=default,stdout"], "multi logoutput for \"default\" is not supported yet"),
        (
            &["--log-outputs=stderr,systemd/journal"],
            "running with systemd/journal but other '--log-outputs' values ([\"stderr\" \"systemd/journal\"]) are configured \
             with 'default'; override 'default' value with something else",
        ),
        (&["--log-outputs="], "--log-outputs names no output"),
        (&["--enable-log-rotation"], single),
        (&["--enable-log-rotation", "--log-outputs=stderr"], single),
        (&["--enable-log-rotation", "--log-outputs=/tmp/a,/tmp/b"], single),
    ];
    for (line, text) in cases {
        assert_eq!(refusal(line), ((*text).to_owned(), 1));
    }
    let rotated = ["--enable-log-rotation", "--log-outputs=stderr,/tmp/a"];
    assert_eq!(load(&rotated, &[]).unwrap().log.rotation.unwrap().bytes_max, 100 << 20);
    assert_eq!(load(&["--log-outputs=/tmp/a"], &[]).unwrap().log.rotation, None);
    let journal = load(&["--log-outputs=systemd/journal"], &[]).unwrap();
    assert_eq!(journal.log.outputs, [LogOutput::Journal]);
}

/// The reference of all flags, as `docs/flags.md` has it.
fn reference() -> String {
    use std::fmt::Write;
    use table::{FileKey, Standing};

    let mut page = String::from(
        "# Flags\n\n\
         All flags of etcd 3.7, and what this version does with each. Made from the table in\n\
         `crates/server/src/config/table.rs` by a test; after a change there, run\n\
         `QUORATE_UPDATE_DOCS=1 cargo test -p quorate --lib reference`.\n\n\
         A flag can be given on the command line (`--name value`), as an environment variable (`ETCD_` and the name in\n\
         capitals, `-` as `_`) or in the file of `--config-file` (under its own name, unless a key is given below; durations\n\
         as on the command line, or as numbers of nanoseconds). \"No effect\"\n\
         means that it is accepted and a line in the log says why it changes nothing.\n",
    );
    for group in table::GROUPS {
        let _ = write!(
            page,
            "\n## {}\n\n| flag | default | what it is for | served |\n|---|---|---|---|\n",
            group.title
        );
        for flag in group.flags {
            let key = match flag.file {
                FileKey::At(path) => format!(" File: `{path}`."),
                FileKey::Absent if flag.standing != Standing::Ignored => " Not in the file.".to_owned(),
                FileKey::Absent | FileKey::Same => String::new(),
            };
            let default = if flag.default.is_empty() { String::new() } else { format!("`{}`", flag.default) };
            let served = match flag.standing {
                Standing::Served => "yes".to_owned(),
                Standing::NoEffect(why) => format!("no effect: {why}"),
                Standing::Ignored => "ignored, as in etcd".to_owned(),
            };
            let _ = writeln!(page, "| `--{}` | {default} | {}{key} | {served} |", flag.name, flag.help);
        }
    }
    page
}

#[test]
fn the_reference_in_the_documentation_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/flags.md");
    if std::env::var_os("QUORATE_UPDATE_DOCS").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(page == reference(), "docs/flags.md does not show the table of flags");
}

/// The table of flags is held to that of etcd: each is there, takes the same values, has the same default and the same key in the
/// file. What else is in the table is ours, and is said to be.
#[test]
fn every_flag_of_etcd_is_in_the_table() {
    use std::collections::BTreeSet;

    use value::Kind;

    let kinds = |word: &str| -> &[&str] {
        match word {
            "string" => &["Text", "Choice", "Choices", "Level"],
            "list" => &["List", "Set"],
            "urls" => &["Urls", "Origins"],
            "uint" => &["Uint"],
            "uint32" => &["Uint32"],
            "int" => &["Int"],
            "bool" => &["Bool"],
            "duration" => &["Duration"],
            "ignored" => &["Discarded"],
            other => panic!("no kind {other}"),
        }
    };
    let mut of_etcd = BTreeSet::new();
    for row in include_str!("contract.tsv").lines().filter(|row| !row.starts_with('#')) {
        let [name, kind, default, key] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row:?}") };
        let flag = table::find(name).unwrap_or_else(|| panic!("--{name} is not in the table"));
        of_etcd.insert(name);
        let own_kind = format!("{:?}", flag.kind);
        let own_kind = own_kind.split('(').next().expect("a word");
        assert!(kinds(kind).contains(&own_kind), "--{name} is {own_kind}, and not {kind}");
        assert_eq!(flag.default, default, "default of --{name}");
        assert_eq!(flag.file_key().unwrap_or("-"), key, "key of --{name}");
        if !matches!(flag.kind, Kind::Discarded) {
            assert!(!flag.help.is_empty(), "--{name} is not described");
        }
    }
    let ours: Vec<&str> =
        table::flags().map(|flag| flag.name).filter(|name| !of_etcd.contains(name)).collect();
    let is_known = |name: &&str| {
        ["follow-", "backup-"].iter().any(|prefix| name.starts_with(prefix))
            || ["memory-limit", "auto-promote-learners", "console"].contains(name)
    };
    assert!(ours.iter().all(is_known), "{ours:?}");
}

mod whatever_is_given {
    use proptest::prelude::*;

    use super::*;

    /// A word of a command line: a flag, mostly a known one, mostly with a value.
    fn word() -> impl Strategy<Value = String> {
        let names: Vec<&'static str> =
            table::flags().map(|flag| flag.name).filter(|name| *name != "config-file").collect();
        let value = prop_oneof![
            Just("true".to_owned()),
            "-?[0-9_xa-f]{0,22}",
            "[0-9.]{0,6}(ns|us|ms|s|m|h|q)?",
            "(https?|unix)://[a-z0-9.:\\[\\]/]{0,16}",
            "[a-z]=http://[a-z]:[0-9]{1,6},?",
            any::<String>(),
        ];
        prop_oneof![
            8 => (prop::sample::select(names), value.clone()).prop_map(|(name, value)| format!("--{name}={value}")),
            1 => value,
            1 => any::<String>(),
        ]
    }

    proptest! {
        /// Every command line has an answer, and one that is accepted keeps the rules.
        #[test]
        fn a_command_line_is_answered(line in prop::collection::vec(word(), 0..5)) {
            if let Ok(Invocation::Serve(config)) = Config::load(&line, &[]) {
                prop_assert!(config.raft.election_timeout_ticks() >= 5);
                prop_assert!(config.listen.client.iter().all(|url| url.is_unix() || url.bind_address().is_some()));
                prop_assert!(config.cluster.initial.len() <= 1);
            }
        }

        /// Every file has an answer.
        #[test]
        fn a_file_is_answered(text in any::<String>(), key in "[a-z-]{1,12}", node in "[\\[\\]{}&*!|>'\"%@`:,#? a-z0-9\n-]{0,40}") {
            let _ = file::parse("f", &text, &mut Vec::new());
            let _ = file::parse("f", &format!("{key}: {node}"), &mut Vec::new());
        }
    }
}
