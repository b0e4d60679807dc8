//! Keys: the tree, values, changes that cross, history, leases.

use serde_json::json;
use testkit::{Server, require};

use crate::page::Page;
use crate::{answer, base64, browser, get, put, put_many, quorate};

#[test]
fn the_tree_is_read_as_it_is_opened_and_walked_by_the_keyboard() {
    let program = require!("the tree of keys", browser::program());
    let server = Server::start(&quorate(), &[]);
    put(&server, "/app/config", r#"{"id":9007199254740993,"on":true,"list":[]}"#);
    put_many(&server, "/app/many/", 250);
    put_many(&server, "/deep/a/b/c/", 1000);
    put(&server, "plain", "just text");
    let mut page = Page::open(program, &server);
    page.go("keys");
    page.browser.until("t.items().length === 2");
    assert_eq!(page.tree(), ["/", "plain"]);

    // Down and up, open and close, without a mouse.
    page.browser.press("/");
    page.browser.until("document.activeElement.matches('[type=search]')");
    page.browser.press("ArrowDown");
    page.browser.press("ArrowRight");
    page.browser.until("t.items().length === 4");
    assert_eq!(page.tree(), ["/", "/app/", "/deep/", "plain"]);
    // What is below a branch is not read before it is opened: the thousand keys here are some 90,000 bytes.
    let read = page.browser.value(
        "performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/v3/kv/range'))
             .reduce((bytes, entry) => bytes + entry.decodedBodySize, 0)",
    );
    assert!(read.as_u64().is_some_and(|bytes| (1..60_000).contains(&bytes)), "{read}");
    page.browser.press("ArrowDown");
    page.browser.press("Enter");
    page.browser.until("t.items().includes('/app/config')");
    page.browser.press("ArrowDown");
    page.browser.press("Enter");
    page.sees("Changed at revision");
    // A number of 64 bits stays what it is.
    page.sees("\"id\": 9007199254740993,\n  \"on\": true,\n  \"list\": []");
    page.click("Hex");
    page.sees("000000  7b 22 69 64");

    // A long branch comes in pages.
    page.browser.until("document.activeElement.dataset.key === '/app/config'");
    page.browser.press("ArrowDown");
    page.browser.press("ArrowRight");
    page.browser.until("t.items().includes('/app/many/00099')");
    assert!(!page.tree().contains(&"/app/many/00100".to_owned()));
    page.click("Show more");
    page.browser.until("t.items().includes('/app/many/00199')");
    page.click("Show more");
    page.browser.until("t.items().includes('/app/many/00249')");
    page.browser.until("!t.find('Show more')");

    // What a person types is what keys begin with.
    page.fill("Keys that begin with", "/deep/a/b/c/0099");
    page.browser.until("t.items().length === 10");
    page.assert_no_complaints();
}

#[test]
fn a_key_is_changed_only_if_nobody_else_has_changed_it() {
    let program = require!("compare and put", browser::program());
    let server = Server::start(&quorate(), &[]);
    put(&server, "config", "colour: red\nsize: 1\n");
    let mut page = Page::open(program, &server);
    page.reopen("keys/config");
    page.click("Edit");
    page.fill("Value", "colour: red\nsize: 2\n");
    page.click("Save");
    page.sees("Saved.");
    assert_eq!(get(&server, "config").as_deref(), Some("colour: red\nsize: 2\n"));

    page.click("Edit");
    page.fill("Value", "colour: red\nsize: 3\n");
    put(&server, "config", "colour: blue\nsize: 2\n");
    page.click("Save");
    page.sees("Nothing was saved: somebody else has changed this key at revision 4.");
    assert_eq!(get(&server, "config").as_deref(), Some("colour: blue\nsize: 2\n"));
    let lines =
        "Array.from(document.querySelectorAll('dialog .diff-line'), (line) => line.textContent).join('|')";
    assert_eq!(
        page.browser.value(lines),
        "removed -colour: blue|removed -size: 2|added +colour: red|added +size: 3|  "
    );
    page.click("Keep my text and go on");
    page.click("Save");
    page.sees("Saved.");
    assert_eq!(get(&server, "config").as_deref(), Some("colour: red\nsize: 3\n"));

    // What they wrote may have to be edited as bytes: a text field would change the ends of lines.
    page.click("Edit");
    page.fill("Value", "mine");
    put(&server, "config", "a\r\n");
    page.click("Save");
    page.click("Take their text");
    page.browser.until("t.field('Bytes, in hexadecimal digits')?.value === '61 0d 0a'");
    page.click("Save");
    page.sees("Saved.");
    assert_eq!(get(&server, "config").as_deref(), Some("a\r\n"));

    // Deleted by somebody else, while this page shows it.
    page.browser.until("t.find('Delete')");
    answer(&server, "kv/deleterange", &json!({ "key": base64("config") }));
    page.click("Delete");
    page.browser.until("t.click('Delete', 'dialog button.danger')");
    page.sees("Somebody else has changed the key meanwhile. Nothing was deleted");
    page.assert_no_complaints();
}

#[test]
fn a_key_is_made_and_deleted() {
    let program = require!("new keys", browser::program());
    let server = Server::start(&quorate(), &[]);
    put(&server, "there", "old");
    let mut page = Page::open(program, &server);
    page.go("keys");
    page.browser.until("t.items().length === 1");
    page.browser.press("n");
    page.fill("Key", "there");
    page.click("Create");
    page.sees("There is such a key already.");
    assert_eq!(get(&server, "there").as_deref(), Some("old"));
    page.fill("Key", "a\\x00b");
    page.fill("Value", "new");
    page.click("Create");
    page.sees("Created.");
    assert_eq!(get(&server, "a\0b").as_deref(), Some("new"));
    page.browser.until("t.items().includes('a\\\\x00b')");
    page.click("Delete");
    page.sees("The key and its value will be gone");
    // Escape closes, and nothing has happened.
    page.browser.press("Escape");
    page.browser.until("!document.querySelector('dialog')");
    assert_eq!(get(&server, "a\0b").as_deref(), Some("new"));
    page.click("Delete");
    page.browser.until("t.click('Delete', 'dialog button.danger')");
    page.sees("There is no such key now.");
    assert_eq!(get(&server, "a\0b"), None);
    page.assert_no_complaints();
}

#[test]
fn history_goes_back_to_the_compaction() {
    let program = require!("the history of a key", browser::program());
    let server = Server::start(&quorate(), &[]);
    for value in ["one", "two", "three"] {
        put(&server, "k", value);
    }
    answer(&server, "kv/deleterange", &json!({ "key": base64("k") }));
    put(&server, "k", "four");
    put(&server, "k", "five");
    let mut page = Page::open(program, &server);
    page.reopen("keys/k");
    let rows =
        "Array.from(document.querySelectorAll('.versions summary'), (row) => row.innerText.trim()).join('|')";
    page.click("History");
    page.browser.until("t.find('What was before that')");
    assert_eq!(page.browser.value(rows), "Revision 7 version 2 4 B|Revision 6 created 4 B");
    page.browser.value("document.querySelector('.versions summary').click()");
    page.browser.until("document.querySelector('.diff-line.added')?.innerText.includes('five')");
    page.click("What was before that");
    page.sees("Nothing was before that.");
    assert_eq!(
        page.browser.value(rows),
        "Revision 7 version 2 4 B|Revision 6 created 4 B|Revision 5 deleted|Revision 4 version 3 5 B\
         |Revision 3 version 2 3 B|Revision 2 created 3 B"
    );

    answer(&server, "kv/compaction", &json!({ "revision": "4" }));
    answer(&server, "kv/deleterange", &json!({ "key": base64("k") }));
    // What is changed after it says nothing about it.
    put(&server, "other", "value");
    page.reopen("keys/k");
    page.click("What it was before");
    page.sees("What was before revision 4 has been compacted");
    assert_eq!(
        page.browser.value(rows),
        "Revision 8 deleted|Revision 7 version 2 4 B|Revision 6 created 4 B|Revision 5 deleted|Revision 4 version 3 5 B"
    );
    page.assert_no_complaints();
}

#[test]
fn an_object_of_kubernetes_is_shown_as_far_as_it_can_be_read() {
    let program = require!("objects of Kubernetes", browser::program());
    let server = Server::start(&quorate(), &[]);
    put(&server, "/registry/configmaps/default/app", kubernetes());
    let mut page = Page::open(program, &server);
    page.reopen("keys/%2Fregistry%2Fconfigmaps%2Fdefault%2Fapp");
    page.sees("ConfigMap");
    let facts = "Array.from(document.querySelectorAll('.value .facts > div'), (fact) => fact.innerText.replace('\\n', '=')).join('|')";
    assert_eq!(page.browser.until(facts), "API version=v1|Kind=ConfigMap|Namespace=default|Name=app");
    page.sees("The value has numbers for its fields, not names.");
    page.sees("field 2:");
    page.assert_no_complaints();
}

/// Returns a field of a protobuf message whose content is shorter than 128 bytes.
fn field(number: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let length = u8::try_from(content.len()).expect("a short field");
    [&[number << 3 | 2, length], content].concat()
}

/// Returns a config map as a Kubernetes API server stores it.
pub(crate) fn kubernetes() -> Vec<u8> {
    let kind = [field(1, "v1"), field(2, "ConfigMap")].concat();
    let metadata = [
        field(1, "app"),
        field(3, "default"),
        field(5, "6e1c4f0e-5c0a-4a8e-9a43-0d5b8b6f2a11"),
        field(11, [field(1, "tier"), field(2, "web")].concat()),
    ];
    let object = [field(1, metadata.concat()), field(2, [field(1, "colour"), field(2, "blue")].concat())];
    // The message may be longer than a field of a short one: two bytes for its length.
    let object = object.concat();
    let length = [(object.len() & 127) as u8 | 128, (object.len() >> 7) as u8];
    [b"k8s\0".as_slice(), &field(1, kind), &[2 << 3 | 2], &length, &object].concat()
}

#[test]
fn leases_are_shown_and_ended() {
    let program = require!("leases", browser::program());
    let server = Server::start(&quorate(), &[]);
    let mut page = Page::open(program, &server);
    page.go("leases");
    page.sees("There are no leases.");
    answer(&server, "lease/grant", &json!({ "TTL": 3600, "ID": 0x1234 }));
    answer(&server, "kv/put", &json!({ "key": base64("/live/a"), "value": "", "lease": 0x1234 }));
    page.sees("1 key");
    page.sees("1 h");
    page.click("End");
    page.sees("Lease 1234. 1 key will be deleted with it:");
    page.sees("/live/a");
    page.click("End the lease");
    page.sees("There are no leases.");
    assert_eq!(get(&server, "/live/a"), None);
    page.assert_no_complaints();
}
