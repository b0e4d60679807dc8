//! Users: logging in, what a role denies, changes of users and roles.

use serde_json::json;
use testkit::{Server, require};

use crate::page::Page;
use crate::{answer, ask, base64, browser, put, quorate};

/// Makes the user root, and one who may read what begins with `/app/`; then turns authentication on.
fn secure(server: &Server) {
    for (name, password) in [("root", "root-password"), ("reader", "reader-password")] {
        answer(server, "auth/user/add", &json!({ "name": name, "password": password }));
    }
    answer(server, "auth/role/add", &json!({ "name": "root" }));
    answer(server, "auth/role/add", &json!({ "name": "reading" }));
    let permission = json!({ "permType": "READ", "key": base64("/app/"), "range_end": base64("/app0") });
    answer(server, "auth/role/grant", &json!({ "name": "reading", "perm": permission }));
    answer(server, "auth/user/grant", &json!({ "user": "root", "role": "root" }));
    answer(server, "auth/user/grant", &json!({ "user": "reader", "role": "reading" }));
    answer(server, "auth/enable", &json!({}));
}

#[test]
fn a_role_decides_what_is_seen_and_what_is_denied() {
    let program = require!("what a role denies", browser::program());
    let server = Server::start(&quorate(), &[]);
    put(&server, "/app/config", "for readers");
    put(&server, "/secret/key", "not for readers");
    secure(&server);
    let mut page = Page::open(program, &server);
    page.log_in("reader", "wrong");
    page.sees("There is no such user, or the password is another.");
    page.log_in("reader", "reader-password");
    page.browser.until("document.querySelector('.person')?.textContent === 'reader'");

    page.go("keys");
    page.sees("What your roles let you read:");
    page.browser.until("t.items().includes('/app/config') || t.click('/app/')");
    page.browser.until("t.items().includes('/app/config')");
    assert!(!page.tree().iter().any(|key| key.contains("secret")));
    page.click("config");
    page.sees("for readers");
    page.click("Edit");
    page.fill("Value", "changed");
    page.click("Save");
    page.sees("Your user may not do this (etcdserver: permission denied).");
    page.browser.press("Escape");
    page.go("keys/%2Fsecret%2Fkey");
    page.sees("Your user may not do this (etcdserver: permission denied).");
    page.go("users");
    page.sees("This is what you may do:");
    page.sees("all that begins with /app/");
    page.go("watch");
    page.click("Start");
    page.sees("The watch has ended.");

    page.click("Log out");
    page.browser.until("t.field('Password')");
    assert_eq!(page.browser.value("sessionStorage.length"), 0);
    page.assert_no_complaints();
}

#[test]
fn a_session_that_has_ended_leads_to_the_login() {
    let program = require!("the end of a session", browser::program());
    let server = Server::start(&quorate(), &[]);
    secure(&server);
    let mut page = Page::open(program, &server);
    page.log_in("root", "root-password");
    page.browser.until("document.querySelector('.person')");
    // A token that the member does not know any more, as after its time has run out.
    page.browser.value(
        "sessionStorage.setItem('quorate-session', JSON.stringify({ user: 'root', token: 'x.1' })); 0",
    );
    page.reopen("users");
    page.sees("Your session has ended.");
    page.log_in("root", "root-password");
    page.sees("Users and roles");
    // A watch is refused in its stream, and not by the status of the answer.
    page.browser.value(
        "sessionStorage.setItem('quorate-session', JSON.stringify({ user: 'root', token: 'x.1' })); 0",
    );
    page.reopen("watch/k");
    page.sees("Your session has ended.");
    page.log_in("root", "root-password");
    page.browser.until("document.querySelector('[data-state=live]')");
    page.assert_no_complaints();
}

#[test]
fn users_and_roles_are_changed() {
    let program = require!("users and roles", browser::program());
    let server = Server::start(&quorate(), &[]);
    let mut page = Page::open(program, &server);
    page.go("users");
    page.sees("Authentication is off.");
    page.click("Add a role");
    page.fill("Name", "writing");
    page.click("Add");
    page.click("Give a permission");
    page.fill("May", "READWRITE");
    page.fill("Key or beginning", "/app/");
    page.click("Give");
    page.sees("all that begins with /app/");
    page.click("Add a user");
    page.fill("Name", "ann");
    page.fill("Password", "secret");
    page.click("Add");
    page.sees("no roles: may do nothing");
    page.click("Give a role");
    page.click("Give");
    page.browser.until("t.find('Take the role writing away from ann')");
    let role = answer(&server, "auth/role/get", &json!({ "role": "writing" }));
    assert_eq!(
        role["perm"],
        json!([{ "permType": "READWRITE", "key": base64("/app/"), "range_end": base64("/app0") }])
    );
    assert_eq!(answer(&server, "auth/user/get", &json!({ "name": "ann" }))["roles"], json!(["writing"]));
    page.click("Take away: all that begins with /app/");
    page.click("Take away");
    page.sees("no permissions yet");
    page.browser.until("t.find('Delete', '[aria-label=\"User ann\"] button')?.click() ?? true");
    page.sees("will not be able to log in any more");
    page.browser.until("t.click('Delete', 'dialog button.danger')");
    page.sees("There are no users yet.");
    assert_eq!(ask(&server, "auth/user/get", &json!({ "name": "ann" })).status, 400);
    page.assert_no_complaints();
}
