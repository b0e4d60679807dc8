//! The shape of log lines.

use std::sync::Arc;

use super::*;

/// What was written to an output.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// What `log` writes with this level and shape.
fn written(level: Level, shape: Shape, log: impl FnOnce()) -> String {
    let written = Written::default();
    let output = Output { shape, sink: Sink::of(written.clone()) };
    let layer = LogLayer { level, outputs: vec![output] };
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    written.text()
}

/// Replaces the digits of a timestamp: `0000-00-00T00:00:00.000000Z`.
fn masked(ts: &str) -> String {
    ts.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

#[test]
fn a_json_line_has_etcds_keys_in_etcds_order() {
    let line = line!() + 2;
    let text = written(Level::INFO, Shape::Json, || {
        tracing::info!(
            "local-member-id" = "8e9e05c52164694d",
            count = 3,
            ok = true,
            took = 0.5,
            "{}",
            messages::READY
        );
    });
    let (before, rest) = text.split_once("\"ts\":\"").unwrap();
    let (ts, after) = rest.split_once('"').unwrap();
    assert_eq!(before, "{\"level\":\"info\",");
    assert_eq!(masked(ts), "0000-00-00T00:00:00.000000Z");
    let expected = format!(
        ",\"caller\":\"logging/tests.rs:{line}\",\"msg\":\"ready to serve client requests\",\
         \"local-member-id\":\"8e9e05c52164694d\",\"count\":3,\"ok\":true,\"took\":0.5}}\n"
    );
    assert_eq!(after, expected);
}

#[test]
fn every_line_is_json_whatever_is_in_it() {
    let text = written(Level::DEBUG, Shape::Json, || {
        let nasty = "quote \" backslash \\ newline \n tab \t bell \u{7} umlaut ü";
        tracing::warn!(nasty, debug = ?nasty, infinite = f64::INFINITY, "{nasty}");
        tracing::debug!("plain");
    });
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["msg"], "quote \" backslash \\ newline \n tab \t bell \u{7} umlaut ü");
    assert_eq!((&lines[0]["level"], &lines[0]["infinite"]), (&"warn".into(), &"inf".into()));
    assert_eq!((&lines[1]["level"], &lines[1]["msg"]), (&"debug".into(), &"plain".into()));
}

#[test]
fn a_list_of_texts_is_an_array() {
    let text = written(Level::INFO, Shape::Json, || {
        let (urls, numbers, odd) = (["http://a:1", "b\"c"], [1, 2], "[\"x\"]");
        tracing::info!(urls = ?urls, numbers = ?numbers, odd, none = ?Vec::<String>::new(), "lists");
    });
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["urls"], serde_json::json!(["http://a:1", "b\"c"]));
    assert_eq!((&line["numbers"], &line["odd"]), (&"[1, 2]".into(), &"[\"x\"]".into()));
    assert_eq!(line["none"], serde_json::json!([]));
}

#[test]
fn an_error_is_told_with_its_causes() {
    let cause = io::Error::other("disk on fire");
    let error = LogError::Open { path: "/x".into(), source: cause };
    let text = written(Level::INFO, Shape::Json, || {
        tracing::error!(target: FATAL, error = &error as &dyn std::error::Error, "{}", messages::START_FAILED);
    });
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["level"], &line["msg"]), (&"fatal".into(), &"discovery failed".into()));
    assert_eq!(line["error"], "cannot open log output /x: disk on fire");
}

#[test]
fn a_console_line_has_the_same_parts() {
    let text = written(Level::INFO, Shape::Console, || tracing::info!(a = 1, b = "x", "hello"));
    let parts: Vec<&str> = text.trim_end().split('\t').collect();
    assert_eq!((masked(parts[0]).as_str(), parts[1]), ("0000-00-00T00:00:00.000000Z", "info"));
    assert!(parts[2].starts_with("logging/tests.rs:"));
    assert_eq!(&parts[3..], ["hello", "{\"a\":1,\"b\":\"x\"}"]);
}

#[test]
fn levels_and_other_crates_are_filtered() {
    let text = written(Level::DEBUG, Shape::Console, || {
        tracing::trace!("too much");
        tracing::debug!(target: "h2::codec", "not ours");
        tracing::info!(target: "servers", "not ours either");
        tracing::warn!(target: "redb", "important");
        tracing::warn!(target: "h2::proto::ping_pong", "recv PING ack that we never sent");
        tracing::error!(target: "hyper::proto", "a bug");
        tracing::debug!(target: "raft::core", "ours");
    });
    let messages: Vec<_> = text.lines().map(|line| line.rsplit('\t').next().unwrap()).collect();
    assert_eq!(messages, ["important", "a bug", "ours"]);
    assert_eq!(written(Level::ERROR, Shape::Console, || tracing::warn!("quiet")), "");
}

#[test]
fn a_terminal_has_colours_and_no_other_shape() {
    let cases = [
        (LogFormat::Json, false, Shape::Json),
        (LogFormat::Json, true, Shape::Json),
        (LogFormat::Console, false, Shape::Console),
        (LogFormat::Console, true, Shape::Colour),
    ];
    for (format, terminal, shape) in cases {
        assert_eq!(Shape::of(format, terminal), shape);
    }
}

#[test]
fn files_are_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q.log");
    let config = crate::config::Config::default().log;
    std::fs::write(&path, "before\n").unwrap();
    let output = Output::open(&LogOutput::File(path.clone()), &config).unwrap();
    let layer = LogLayer { level: Level::INFO, outputs: vec![output] };
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || tracing::info!("after"));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("before\n{\"level\":\"info\"") && text.contains("\"msg\":\"after\""));
    let missing = LogOutput::File("/nosuch/dir/q.log".into());
    let error = Output::open(&missing, &config).err().unwrap();
    assert!(error.to_string().starts_with("cannot open log output /nosuch/dir/q.log: "));
}
