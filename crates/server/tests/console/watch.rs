//! The live watch, and what is told from the metrics.

use serde_json::json;
use testkit::{Server, require};

use crate::page::Page;
use crate::{browser, put, quorate};

/// The keys of the changes that are shown, the oldest first.
const SHOWN: &str =
    "Array.from(document.querySelectorAll('.event-key'), (key) => key.textContent).reverse().join(' ')";

/// Takes the browser's network away, or gives it back.
fn set_offline(page: &mut Page, offline: bool) {
    let conditions =
        json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
    page.browser.command("Network.enable", json!({}));
    page.browser.command("Network.emulateNetworkConditions", conditions);
}

/// Ends the connection and starts the server again, while the browser has no network: what happens now happens before the
/// page can ask again.
fn lose_connection(page: &mut Page, server: &mut Server) {
    set_offline(page, true);
    server.kill();
    page.browser.until("document.querySelector('[data-state=lost]')");
    server.restart();
}

#[test]
fn a_watch_goes_on_where_it_stopped_when_the_connection_was_lost() {
    let program = require!("a live watch", browser::program());
    let mut server = Server::start(&quorate(), &[]);
    let mut page = Page::open(program, &server);
    page.go("watch");
    page.click("Start");
    page.browser.until("document.querySelector('[data-state=live]')");
    put(&server, "k1", "one");
    page.browser.until(&format!("{SHOWN} === 'k1'"));
    page.sees("1 change so far.");
    lose_connection(&mut page, &mut server);
    for key in ["k2", "k3", "k4"] {
        put(&server, key, "more");
    }
    set_offline(&mut page, false);
    page.browser.until(&format!("{SHOWN} === 'k1 k2 k3 k4'"));
    page.sees("4 changes so far.");

    // What comes while the list is held is shown when it goes on.
    page.click("Hold");
    put(&server, "k5", "held");
    page.browser.until("t.find('Go on (1 held)')");
    assert!(!page.browser.value(SHOWN).to_string().contains("k5"));
    page.click("Go on (1 held)");
    page.browser.until(&format!("{SHOWN}.endsWith('k5')"));
    page.click("Stop");
    page.sees("Not watching.");
    page.assert_no_complaints();
}

#[test]
fn a_watch_says_what_is_missing_because_it_was_compacted() {
    let program = require!("a watch and a compaction", browser::program());
    let mut server = Server::start(&quorate(), &[]);
    put(&server, "a", "1");
    let mut page = Page::open(program, &server);
    page.go("watch");
    page.click("Start");
    page.browser.until("document.querySelector('[data-state=live]')");
    lose_connection(&mut page, &mut server);
    for value in ["2", "3", "4"] {
        put(&server, "a", value);
    }
    crate::answer(&server, "kv/compaction", &json!({ "revision": "4" }));
    set_offline(&mut page, false);
    page.sees("The changes from revision 3 to 3 have been compacted while the connection was lost: they are missing here.");
    page.browser.until(&format!("{SHOWN} === 'a a'"));
    page.assert_no_complaints();
}

#[test]
fn the_load_is_told_from_the_metrics() {
    let program = require!("the load", browser::program());
    let server = Server::start(&quorate(), &["--metrics=extensive"]);
    put(&server, "/app/x", "1");
    let mut page = Page::open(program, &server);
    page.go("load");
    page.click("Count them");
    // A row for the calls that were made before the page was there.
    page.browser.until(
        "Array.from(document.querySelectorAll('tbody tr')).some((row) => row.innerText.startsWith('Put'))",
    );
    let keys = "document.querySelector('[aria-label^=\"Keys: \"]').ariaLabel";
    page.browser.until(&format!("{keys} === 'Keys: 1'"));
    let bars = "Array.from(document.querySelectorAll('.bars .mono'), (bar) => bar.textContent).join(' ')";
    testkit::wait::until("a part of the store that is busy", || {
        put(&server, "/app/x", "2");
        (page.browser.value(bars) == "/app/x").then_some(())
    });
    page.assert_no_complaints();
}
