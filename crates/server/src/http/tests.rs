//! HTTP against the answers of a real etcd, recorded, and against the contract where nothing could be recorded.
//!
//! The files `testdata/etcd-3.7.1-http-*.txt` are exchanges with etcd 3.7.1: `>` lines are the request (listener, `secure` being that of clients with TLS, method, path, headers),
//! `<` lines status and headers without `date` and the like, `|` lines the body. Bodies of `/metrics`, of HEAD and of 421 (whose
//! text is our own) are not recorded.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::Request;
use http_body_util::BodyExt;

use super::*;
use crate::config::MetricsDetail;

/// A member in any state of health.
#[derive(Clone, Debug)]
struct Patient {
    alarms: Vec<Alarm>,
    has_leader: bool,
    is_learner: bool,
    versions: Versions,
    serializable: Result<(), ReadFailure>,
    linearizable: Result<(), ReadFailure>,
}

fn healthy() -> Patient {
    Patient {
        alarms: Vec::new(),
        has_leader: true,
        is_learner: false,
        versions: Versions { cluster: Some("3.7.0".into()), storage: Some("3.7.0".into()) },
        serializable: Ok(()),
        linearizable: Ok(()),
    }
}

impl HealthProbe for Patient {
    fn alarms(&self) -> Vec<Alarm> {
        self.alarms.clone()
    }

    fn has_leader(&self) -> bool {
        self.has_leader
    }

    fn is_learner(&self) -> bool {
        self.is_learner
    }

    fn versions(&self) -> Versions {
        self.versions.clone()
    }

    fn raft_status(&self) -> RaftStatus {
        RaftStatus {
            id: 0x2e12,
            term: 2,
            vote: 0x2e12,
            committed: 4,
            applied: 4,
            leader: 0x2e12,
            role: "StateLeader",
        }
    }

    async fn read(&self, consistency: Consistency) -> Result<(), ReadFailure> {
        match consistency {
            Consistency::Linearizable => self.linearizable.clone(),
            Consistency::Serializable => self.serializable.clone(),
        }
    }
}

/// Runs a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits"),
    }
}

fn http(patient: Patient, access: HttpAccess) -> Http<Patient> {
    Http::new(Arc::new(patient), Arc::new(crate::metrics::of_server(MetricsDetail::Basic)), access)
}

const OPEN: HttpAccess = HttpAccess { cors: Allowed::All, hosts: Allowed::All, profiles: false };

/// Status and body of a GET on the client port.
fn get(http: &Http<Patient>, path: &str) -> (u16, String) {
    let head = Request::get(path).header("host", "h").body(()).unwrap().into_parts().0;
    let response = now(http.handle(Surface::Client, &head));
    let status = response.status().as_u16();
    (status, body(response))
}

fn body(response: Response<Body>) -> String {
    let bytes = now(response.into_body().collect()).unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The exchange that the `>` lines of a recorded one start, in the recorded form.
fn replay(http: &Http<Patient>, recorded: &str) -> String {
    let request: Vec<&str> = recorded.lines().filter_map(|line| line.strip_prefix("> ")).collect();
    let [surface, method, path] = request[0].split(' ').collect::<Vec<_>>().try_into().unwrap();
    let mut builder = Request::builder().method(method).uri(path);
    for header in &request[1..] {
        let (name, value) = header.split_once(": ").unwrap();
        builder = builder.header(name, value);
    }
    // Where it does not matter, the host is not recorded.
    if !recorded.contains("\n> Host: ") {
        builder = builder.header("host", "127.0.0.1");
    }
    let mut head = builder.body(()).unwrap().into_parts().0;
    let surface = match surface {
        "client" => Surface::Client,
        "secure" => {
            head.extensions.insert(Encrypted);
            Surface::Client
        }
        "metrics" => Surface::Metrics,
        _ => Surface::Peer,
    };
    let response = now(http.handle(surface, &head));

    let mut lines: Vec<String> = request.iter().map(|line| format!("> {line}")).collect();
    lines.push(format!("< {}", response.status().as_u16()));
    let mut headers: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| format!("< {name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    lines.extend(headers);
    let has_body = method != "HEAD" && path != "/metrics" && response.status() != 421;
    let body = if has_body { body(response) } else { String::new() };
    if !body.is_empty() {
        lines.extend(body.split('\n').map(|line| format!("| {line}")));
    }
    lines.join("\n")
}

fn assert_replays(http: &Http<Patient>, recording: &str) {
    let exchanges: Vec<&str> =
        recording.split("\n\n").map(|exchange| exchange.trim_end_matches('\n')).collect();
    assert!(exchanges.len() > 5);
    for recorded in exchanges {
        assert_eq!(replay(http, recorded), recorded);
    }
}

#[test]
fn every_path_and_method_answers_as_a_real_etcd() {
    assert_replays(&http(healthy(), OPEN), include_str!("../../testdata/etcd-3.7.1-http-open.txt"));
}

#[test]
fn host_and_origin_rules_answer_as_a_real_etcd() {
    let access = HttpAccess {
        cors: Allowed::Only(vec!["http://good:80".into()]),
        hosts: Allowed::Only(vec!["127.0.0.1".into(), "ok.example".into()]),
        profiles: false,
    };
    assert_replays(&http(healthy(), access), include_str!("../../testdata/etcd-3.7.1-http-closed.txt"));
}

#[test]
fn an_alarm_answers_as_in_a_real_etcd() {
    let patient = Patient { alarms: vec![Alarm::NoSpace], ..healthy() };
    assert_replays(&http(patient, OPEN), include_str!("../../testdata/etcd-3.7.1-http-nospace.txt"));
}

#[test]
fn health_names_the_first_reason_in_order() {
    let failed = || Err(ReadFailure("etcdserver: request timed out".into()));
    let all_ill =
        Patient { alarms: vec![Alarm::Corrupt], has_leader: false, linearizable: failed(), ..healthy() };
    let no_leader = Patient { alarms: Vec::new(), ..all_ill.clone() };
    let unreadable = Patient { has_leader: true, ..no_leader.clone() };
    let unknown = Patient { alarms: vec![Alarm::Unknown], ..healthy() };
    let ill = |reason: &str| (503, format!("{{\"health\":\"false\",\"reason\":\"{reason}\"}}\n"));
    let well = (200, "{\"health\":\"true\",\"reason\":\"\"}".to_owned());
    let cases = [
        (&all_ill, "/health", ill("ALARM CORRUPT")),
        (&all_ill, "/health?exclude=CORRUPT", ill("RAFT NO LEADER")),
        (&all_ill, "/health?exclude=CORRUPT&exclude=NOSPACE&serializable=true", well.clone()),
        (&no_leader, "/health?serializable=false", ill("RAFT NO LEADER")),
        (&unreadable, "/health", ill("RANGE ERROR:etcdserver: request timed out")),
        (&unknown, "/health", ill("ALARM UNKNOWN")),
    ];
    for (patient, path, expected) in cases {
        assert_eq!(get(&http(patient.clone(), OPEN), path), expected, "{path}");
    }
}

#[test]
fn failed_checks_are_always_told_in_full() {
    let patient = Patient {
        alarms: vec![Alarm::Corrupt],
        is_learner: true,
        linearizable: Err(ReadFailure("etcdserver: no leader".into())),
        ..healthy()
    };
    let http = http(patient, OPEN);
    let all = "[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n\
               [-]linearizable_read failed: etcdserver: no leader\n[-]non_learner failed: not supported for learner\n\n";
    assert_eq!(get(&http, "/readyz"), (503, all.to_owned()));
    let rest = "/readyz?exclude=data_corruption&exclude=linearizable_read&exclude=non_learner";
    assert_eq!(get(&http, rest), (200, "ok\n".to_owned()));
    assert_eq!(get(&http, "/livez"), (200, "ok\n".to_owned()));
    // One check asked for by name cannot be excluded.
    let one = "[-]non_learner failed: not supported for learner\n\n";
    assert_eq!(get(&http, "/readyz/non_learner?exclude=non_learner"), (503, one.to_owned()));
}

#[test]
fn versions_that_are_not_known_are_named_so() {
    let http = http(Patient { versions: Versions::default(), ..healthy() }, OPEN);
    let expected = "{\"etcdserver\":\"3.7.1\",\"etcdcluster\":\"not_decided\",\"storage\":\"unknown\"}";
    assert_eq!(get(&http, "/version"), (200, expected.to_owned()));
}

#[test]
fn checks_are_counted() {
    let http = http(Patient { is_learner: true, ..healthy() }, OPEN);
    for path in ["/health", "/health?exclude=x", "/livez", "/readyz/non_learner"] {
        get(&http, path);
    }
    let (_, text) = get(&http, "/metrics");
    let lines = [
        "etcd_server_health_success 2\n",
        "etcd_server_health_failures 0\n",
        "etcd_server_healthcheck{name=\"non_learner\",type=\"readyz\"} 0\n",
        "etcd_server_healthcheck{name=\"serializable_read\",type=\"livez\"} 1\n",
        "etcd_server_healthchecks_total{name=\"non_learner\",status=\"error\",type=\"readyz\"} 1\n",
        "etcd_server_healthchecks_total{name=\"serializable_read\",status=\"success\",type=\"livez\"} 1\n",
    ];
    for line in lines {
        assert!(text.contains(line), "{line}");
    }
}

#[test]
fn debug_vars_are_json_with_the_variables_that_tools_read() {
    let (status, text) = get(&http(healthy(), OPEN), "/debug/vars");
    let vars: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 200);
    assert!(vars["file_descriptor_limit"].as_f64().unwrap() > 0.0);
    assert_eq!((&vars["raft.status"]["lead"], &vars["raft.status"]["commit"]), (&"2e12".into(), &4.into()));
}

#[test]
fn a_host_is_named_without_its_port() {
    let cases = [
        ("/x", Some("h:1"), "h"),
        ("/x", Some("[::1]:2379"), "::1"),
        ("/x", Some("h"), "h"),
        ("http://authority:5/x", None, "authority"),
        ("/x", None, ""),
    ];
    for (uri, header, host) in cases {
        let mut request = Request::get(uri);
        if let Some(header) = header {
            request = request.header("host", header);
        }
        assert_eq!(host_of(&request.body(()).unwrap().into_parts().0), host);
    }
}

#[test]
fn a_request_names_one_host() {
    let http = http(healthy(), OPEN);
    let status = |request: http::request::Builder| {
        let head = request.body(()).unwrap().into_parts().0;
        [Surface::Client, Surface::Metrics, Surface::Peer]
            .map(|surface| now(http.handle(surface, &head)).status().as_u16())
    };
    let request = || Request::get("/version");
    assert_eq!(status(request()), [400; 3]);
    assert_eq!(status(request().header("host", "")), [200, 404, 200]);
    assert_eq!(status(request().version(Version::HTTP_10)), [200, 404, 200]);
    assert_eq!(status(request().version(Version::HTTP_2)), [200, 404, 200]);
    let two = request().version(Version::HTTP_10).header("host", "a").header("host", "a");
    assert_eq!(status(two), [400; 3]);
    let head = request().body(()).unwrap().into_parts().0;
    let text = body(now(http.handle(Surface::Client, &head)));
    assert_eq!(text, "400 Bad Request: missing required Host header");
}

#[tokio::test]
async fn the_metrics_are_compressed_for_those_who_ask_and_count_their_scrapes() {
    use std::io::Read;
    let http = http(healthy(), OPEN);
    let plain = get(&http, "/metrics").1;
    assert!(plain.contains("\npromhttp_metric_handler_requests_in_flight 1\n"));
    assert!(plain.contains("\npromhttp_metric_handler_requests_total{code=\"200\"} 0\n"));
    let request = Request::get("/metrics").header("host", "h").header("accept-encoding", "gzip");
    let request = request.body(()).unwrap();
    let response = http.handle(Surface::Client, &request.into_parts().0).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let packed = response.into_body().collect().await.unwrap().to_bytes();
    assert!(packed.len() * 5 < plain.len(), "{} bytes of {}", packed.len(), plain.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains("\npromhttp_metric_handler_requests_total{code=\"200\"} 1\n"));
}

#[test]
fn profiles_are_there_if_they_are_asked_for() {
    for path in ["/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/profile"] {
        assert_eq!(get(&http(healthy(), OPEN), path).0, 404, "{path}");
    }
    let http = http(healthy(), HttpAccess { profiles: true, ..OPEN });
    assert!(get(&http, "/debug/pprof/").1.contains("profile?seconds=30"));
    assert_eq!(get(&http, "/debug/pprof/symbol"), (200, "num_symbols: 1\n".to_owned()));
    assert_eq!(get(&http, "/debug/pprof/heap"), (404, "Unknown profile\n".to_owned()));
    for seconds in ["0", "301", "-1", "x", ""] {
        assert_eq!(get(&http, &format!("/debug/pprof/profile?seconds={seconds}")).0, 400, "{seconds}");
    }
}
