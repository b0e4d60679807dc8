//! What a browser gets, and who gets it.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::Request;
use http_body_util::BodyExt;

use super::*;
use crate::tls::OfThisMachine;

fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn of_this_machine(mut head: Parts) -> Parts {
    head.extensions.insert(OfThisMachine);
    head
}

fn surroundings(console: Console) -> Surroundings {
    Surroundings { console, is_auth_enabled: false, client_urls: vec!["http://b:2379".to_owned()] }
}

/// Returns what comes of a future that never waits for anything but its turn.
fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

fn ask(head: &Parts, console: Console) -> (StatusCode, http::HeaderMap, Bytes) {
    let (parts, body) = now(respond(head, &surroundings(console))).into_parts();
    (parts.status, parts.headers, now(body.collect()).unwrap().to_bytes())
}

#[test]
fn the_path_is_the_consoles_and_not_its_neighbours() {
    assert!(serves("/console") && serves("/console/") && serves("/console/style.css"));
    assert!(!serves("/consoles") && !serves("/") && !serves("/v3/console/"));
}

#[test]
fn who_gets_it() {
    let elsewhere = || head("GET", "/console/", &[]);
    let here = || of_this_machine(elsewhere());
    let proxied = of_this_machine(head("GET", "/console/", &[("x-forwarded-for", "10.0.0.1")]));
    let status = |head: &Parts, console| ask(head, console).0.as_u16();
    assert_eq!([Console::Auto, Console::On, Console::Off].map(|it| status(&here(), it)), [200, 200, 404]);
    assert_eq!(
        [Console::Auto, Console::On, Console::Off].map(|it| status(&elsewhere(), it)),
        [403, 200, 404]
    );
    assert_eq!(status(&proxied, Console::Auto), 403);
    let with_users = Surroundings { is_auth_enabled: true, ..surroundings(Console::Auto) };
    assert_eq!(now(respond(&elsewhere(), &with_users)).status(), 200);
    let with_users = Surroundings { console: Console::Off, ..with_users };
    assert_eq!(now(respond(&here(), &with_users)).status(), 404);
}

#[test]
fn a_refusal_says_what_to_do() {
    let (_, headers, body) = ask(&head("GET", "/console/", &[]), Console::Auto);
    assert!(body.starts_with(b"The console of this member is shown to its own machine only"));
    assert!(body.ends_with(b"this-machine\n"));
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
}

#[test]
fn the_first_page_is_below_the_path() {
    let (status, headers, _) = ask(&head("GET", "/console", &[]), Console::On);
    assert_eq!(
        (status, &headers["location"]),
        (StatusCode::PERMANENT_REDIRECT, &"/console/".parse().unwrap())
    );
}

#[test]
fn nothing_is_found_that_is_no_file() {
    for path in ["/console/nosuch", "/console/../etc", "/console/index.html/", "/console//index.html"] {
        assert_eq!(ask(&head("GET", path, &[]), Console::On).0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[test]
fn only_what_reads_is_a_method() {
    let (status, headers, _) = ask(&head("POST", "/console/", &[]), Console::On);
    assert_eq!((status, &headers["allow"]), (StatusCode::METHOD_NOT_ALLOWED, &"GET, HEAD".parse().unwrap()));
    let (status, headers, body) = ask(&head("HEAD", "/console/", &[]), Console::On);
    assert_eq!((status, body.len()), (StatusCode::OK, 0));
    assert_ne!(headers["content-length"], "0");
}

#[test]
fn every_file_has_the_policy_and_its_type() {
    for file in files::ALL {
        let (status, headers, body) = ask(&head("GET", &format!("/console/{}", file.name), &[]), Console::On);
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body, file.bytes);
        assert_eq!(headers["content-type"], file.content_type);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert_eq!(headers["cache-control"], "no-cache");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
        assert!(policy.contains("connect-src 'self' http://b:2379;"), "{policy}");
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
}

#[test]
fn a_file_that_the_browser_has_is_not_sent_again() {
    let (_, headers, _) = ask(&head("GET", "/console/", &[]), Console::On);
    let tag = headers["etag"].to_str().unwrap();
    for known in [tag.to_owned(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let again = head("GET", "/console/", &[("if-none-match", &known)]);
        let (status, headers, body) = ask(&again, Console::On);
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
        assert_eq!(headers["etag"], tag);
    }
    let packed = head("GET", "/console/", &[("if-none-match", tag), ("accept-encoding", "gzip")]);
    assert_eq!(ask(&packed, Console::On).0, StatusCode::OK, "another form of the file is another tag");
}

#[test]
fn a_file_is_sent_in_gzip_to_those_who_take_it() {
    use std::io::Read;

    let (status, headers, body) =
        ask(&head("GET", "/console/style.css", &[("accept-encoding", "gzip")]), Console::On);
    assert_eq!((status, &headers["content-encoding"]), (StatusCode::OK, &"gzip".parse().unwrap()));
    assert_eq!(headers["vary"], "accept-encoding");
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
    assert_eq!(plain, files::named("style.css").unwrap().bytes);
}
