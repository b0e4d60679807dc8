//! Names, keys and values that look like HTML and script are text, in every view.

use serde_json::{Value, json};
use testkit::{Cluster, Server, require};

use crate::page::Page;
use crate::{answer, base64, browser, put, quorate};

/// What would run if it ever became HTML.
const SCRIPT: &str = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>\"'>&amp;${1}";

/// A member's name, which may have no comma and no equals sign.
const MEMBER: &str = "<script>window.pwned++</script><u>m</u>";

#[test]
fn what_looks_like_a_script_is_text() {
    let program = require!("hostile names", browser::program());
    let cluster = Cluster::found(vec![Server::prepare(&quorate(), MEMBER, &[])]);
    let server = cluster.member(0);
    let key = format!("/{SCRIPT}/{SCRIPT}");
    put(server, &key, SCRIPT);
    put(server, "javascript:window.pwned=1", json!({ SCRIPT: SCRIPT }).to_string());
    put(server, "\u{202e}gnp.exe\u{200b}", "\u{202e}turned\u{0007}");
    answer(server, "lease/grant", &json!({ "TTL": 3600, "ID": 7 }));
    answer(server, "kv/put", &json!({ "key": base64(SCRIPT), "value": base64(SCRIPT), "lease": 7 }));
    answer(server, "auth/user/add", &json!({ "name": SCRIPT, "password": "p" }));
    answer(server, "auth/role/add", &json!({ "name": SCRIPT }));
    answer(server, "auth/user/grant", &json!({ "user": SCRIPT, "role": SCRIPT }));
    let permission = json!({ "permType": "READ", "key": base64(SCRIPT) });
    answer(server, "auth/role/grant", &json!({ "name": SCRIPT, "perm": permission }));

    let mut page = Page::open(program, server);
    page.sees(MEMBER);
    page.go("keys");
    page.browser.until("t.items().length > 3");
    // Directions and blanks of no width are shown as the bytes that they are.
    page.browser.until(r"t.items().includes('\\xe2\\x80\\xaegnp.exe\\xe2\\x80\\x8b')");
    page.browser.value(&format!("location.hash = '#/keys/' + encodeURIComponent({}); 0", json!(key)));
    page.sees("Changed at revision");
    page.browser.until(&format!("document.querySelector('.detail .code').textContent === {}", json!(SCRIPT)));
    page.click("History");
    page.browser.until("document.querySelector('.versions summary')");
    page.browser.value("document.querySelector('.versions summary').click()");
    page.browser.until("document.querySelector('.diff-line')");
    page.go("keys/javascript%3Awindow.pwned%3D1");
    page.browser.until("t.find('JSON')");
    page.click("Edit");
    page.browser.until("t.field('Value')");
    page.browser.press("Escape");
    page.go("leases");
    page.browser.until("document.querySelector('table details')");
    page.browser.value("document.querySelector('table summary').click()");
    page.click("End");
    page.sees(SCRIPT);
    page.browser.press("Escape");
    page.go("users");
    page.browser.until("document.querySelectorAll('article.card').length === 2");
    page.click("Give a role");
    page.sees(SCRIPT);
    page.browser.press("Escape");
    page.go("watch");
    page.click("Start");
    page.browser.until("document.querySelector('[data-state=live]')");
    put(server, SCRIPT, SCRIPT);
    page.browser.until(&format!("document.querySelector('.event-value')?.textContent === {}", json!(SCRIPT)));
    page.go("load");
    page.click("Count them");
    testkit::wait::until("the busy key", || {
        put(server, SCRIPT, SCRIPT);
        page.browser.value("Boolean(document.querySelector('.bars .mono'))").as_bool().filter(|shown| *shown)
    });
    assert_eq!(page.browser.value("window.pwned ?? null"), Value::Null);
    assert_eq!(page.browser.value("document.querySelectorAll('script').length"), 1);
    assert_eq!(page.browser.value("document.querySelectorAll('main img, main u').length"), 0);
    page.assert_no_complaints();
}

/// The second wall: were there a place that makes HTML of text, the browser would refuse.
#[test]
fn the_browser_refuses_what_the_policy_forbids() {
    let program = require!("the content security policy", browser::program());
    let server = Server::start(&quorate(), &[]);
    let mut page = Page::open(program, &server);
    page.sees("All is well.");
    let html = "try { document.body.innerHTML = '<p>'; 'made' } catch (error) { error.name }";
    assert_eq!(page.browser.value(html), "TypeError");
    let inline = "const script = document.createElement('script'); script.append('window.pwned = 1');
                  try { document.body.append(script) } catch {} window.pwned ?? 'none'";
    assert_eq!(page.browser.value(inline), "none");
    let elsewhere = "fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name)";
    assert_eq!(page.browser.value(elsewhere), "TypeError");
    let complaints = page.browser.complaints().join("\n");
    assert!(complaints.contains("connect-src 'self'"), "{complaints}");
    assert!(complaints.contains("TrustedHTML"), "{complaints}");
}
