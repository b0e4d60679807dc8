//! The pictures of the manual, of a store that is made up; and that no view is wider than a narrow screen.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use testkit::{Cluster, Server, require};

use crate::keys::kubernetes;
use crate::page::Page;
use crate::{answer, base64, browser, put, put_many, quorate};

/// The size of most pictures.
const WIDE: (u32, u32) = (1280, 760);

const VARIABLE: &str = "UPDATE_PICTURES";

fn is_wanted() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

fn save(page: &mut Page, name: &str) {
    if is_wanted() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures").join(name);
        let picture = STANDARD.decode(page.browser.picture()).expect("base64");
        std::fs::write(path, picture).expect("a file");
    }
}

/// Puts what a small company might have.
fn seed(server: &Server) {
    let config = json!({
        "listen": "0.0.0.0:8443", "upstreams": ["10.2.0.11:9000", "10.2.0.12:9000"],
        "limits": { "requests_per_second": 500, "burst": 1000 }, "maintenance": false,
    });
    for (step, limit) in [250, 400, 500].into_iter().enumerate() {
        let mut config = config.clone();
        config["limits"]["requests_per_second"] = json!(limit);
        config["maintenance"] = json!(step == 1);
        put(server, "/shop/gateway/config", config.to_string());
    }
    for service in ["cart", "checkout", "payments", "search"] {
        put_many(server, &format!("/shop/{service}/instances/"), 12);
        put(server, &format!("/shop/{service}/flags"), "dark_launch=false\nretry=3\n");
    }
    put(server, "/shop/leader", "gateway-2");
    put(server, "/registry/configmaps/default/app", kubernetes());
    put_many(server, "/jobs/done/", 300);
    for (id, ttl, key) in [(0x5a17, 30, "cart"), (0x5a18, 60, "search"), (0x5a19, 900, "payments")] {
        answer(server, "lease/grant", &json!({ "TTL": ttl * 100, "ID": id }));
        let key = format!("/shop/{key}/instances/live");
        answer(server, "kv/put", &json!({ "key": base64(key), "value": "", "lease": id }));
    }
    for (user, role, begin, end) in
        [("deploy", "deploying", "/shop/", "/shop0"), ("audit", "auditing", "/jobs/", "/jobs0")]
    {
        answer(server, "auth/user/add", &json!({ "name": user, "password": "p" }));
        answer(server, "auth/role/add", &json!({ "name": role }));
        let kind = if user == "deploy" { "READWRITE" } else { "READ" };
        let permission = json!({ "permType": kind, "key": base64(begin), "range_end": base64(end) });
        answer(server, "auth/role/grant", &json!({ "name": role, "perm": permission }));
        answer(server, "auth/user/grant", &json!({ "user": user, "role": role }));
    }
}

/// Opens a key, to which the tree opens its branches.
fn open_key(page: &mut Page) {
    page.reopen("keys/%2Fshop%2Fgateway%2Fconfig");
    page.browser
        .until("document.querySelector('[aria-selected=true]')?.dataset.key === '/shop/gateway/config'");
    page.sees("requests_per_second");
}

fn picture_of_keys(page: &mut Page, name: &str) {
    open_key(page);
    page.click("History");
    page.browser.until("document.querySelectorAll('.versions li').length === 3");
    page.browser.value("document.querySelector('.versions summary').click()");
    page.browser.until("document.querySelector('.diff-line')");
    page.browser.value("scrollTo(0, 0)");
    save(page, name);
}

fn picture_of_a_conflict(page: &mut Page, server: &Server, name: &str) {
    page.reopen("keys/%2Fshop%2Fpayments%2Fflags");
    page.browser.until("t.items().includes('/shop/payments/flags')");
    page.click("Edit");
    page.fill("Value", "dark_launch=true\nretry=3\n");
    put(server, "/shop/payments/flags", "dark_launch=false\nretry=5\n");
    page.click("Save");
    page.sees("Nothing was saved");
    save(page, name);
}

fn picture_of_load(page: &mut Page, server: &Server, name: &str) {
    page.browser.resize(1280, 1000);
    page.reopen("load");
    page.click("Count them");
    // So many readings as make a line. Each makes every plot longer by a piece.
    let drawn = "document.querySelector('.line').getAttribute('d')?.split('L').length";
    testkit::wait::until("plots with a history", || {
        for service in ["cart", "cart", "cart", "search", "payments"] {
            put(server, &format!("/shop/{service}/visits"), "1");
        }
        (page.browser.value(drawn).as_u64() > Some(if is_wanted() { 25 } else { 2 })).then_some(())
    });
    page.browser.until("document.querySelector('.bars .mono')");
    save(page, name);
    page.browser.resize(WIDE.0, WIDE.1);
}

fn pictures_in(page: &mut Page, scheme: &str) {
    page.browser.prefer(scheme);
    page.browser.resize(WIDE.0, 480);
    page.reopen("cluster");
    page.sees("All 3 members are well.");
    save(page, &format!("console-cluster-{scheme}.png"));
    page.browser.resize(WIDE.0, WIDE.1);
    picture_of_keys(page, &format!("console-keys-{scheme}.png"));
}

#[test]
fn pictures() {
    let program = require!("pictures of the console", browser::program());
    let cluster = Cluster::start(&quorate(), 3, &["--metrics=extensive"]);
    let server = cluster.member(0);
    seed(server);
    let mut page = Page::open(program, server);
    pictures_in(&mut page, "dark");
    pictures_in(&mut page, "light");
    picture_of_a_conflict(&mut page, server, "console-conflict.png");
    picture_of_load(&mut page, server, "console-load.png");
    page.reopen("users");
    page.sees("deploying");
    save(&mut page, "console-users.png");
    page.reopen("leases");
    page.sees("5a17");
    save(&mut page, "console-leases.png");
    page.reopen("watch");
    page.click("Start");
    page.browser.until("document.querySelector('[data-state=live]')");
    put(server, "/shop/gateway/config", "{\"maintenance\":true}");
    put(server, "/shop/leader", "gateway-1");
    answer(server, "kv/deleterange", &json!({ "key": base64("/jobs/done/00000") }));
    page.browser.until("document.querySelectorAll('.event').length === 3");
    save(&mut page, "console-watch.png");
    page.browser.resize(360, 740);
    for view in ["cluster", "keys", "watch", "leases", "users", "load", "keys/%2Fshop%2Fgateway%2Fconfig"] {
        page.reopen(view);
        page.browser.until(
            "!document.querySelector('.loading') && document.querySelector('main').innerText.length > 20",
        );
        let width = page.browser.value("document.documentElement.scrollWidth");
        assert_eq!(width, 360, "{view} is wider than a narrow screen");
    }
    save(&mut page, "console-narrow.png");
    page.assert_no_complaints();
}
