//! The frame around the views: the keyboard, help, light and dark.

use serde_json::json;
use testkit::{Server, require};

use crate::page::Page;
use crate::{browser, quorate};

#[test]
fn the_keyboard_reaches_every_view_and_the_help() {
    let program = require!("the keyboard", browser::program());
    let server = Server::start(&quorate(), &[]);
    let mut page = Page::open(program, &server);
    page.sees("All is well.");
    for (key, view) in ["cluster", "keys", "watch", "leases", "users", "load"].into_iter().enumerate() {
        page.browser.press(&(key + 1).to_string());
        page.browser.until(&format!("document.querySelector('main').className === 'view-{view}'"));
        page.browser.until("document.querySelector('nav [aria-current=page]')");
    }
    // Who follows a link by the keyboard is where it leads.
    page.browser.until("document.activeElement === document.querySelector('main')");
    page.browser.press("?");
    page.sees("move in the tree of keys");
    // While a dialog is open, what is typed is not for the page behind it.
    page.browser.press("1");
    page.browser.press("Escape");
    page.browser.until("!document.querySelector('dialog')");
    assert_eq!(page.browser.value("location.hash"), "#/load");
    // Every control has a name that can be read out.
    let nameless = "Array.from(document.querySelectorAll('button, a, input, select')).filter((element) =>
        !(element.ariaLabel || element.textContent.trim() || element.labels?.length)).length";
    for view in ["cluster", "keys", "watch", "leases", "users", "load"] {
        page.go(view);
        page.browser.until(&format!("document.querySelector('main').className === 'view-{view}'"));
        assert_eq!(page.browser.value(nameless), 0, "{view}");
    }
    page.assert_no_complaints();
}

#[test]
fn the_theme_is_the_systems_until_somebody_chooses() {
    let program = require!("light and dark", browser::program());
    let server = Server::start(&quorate(), &[]);
    let mut page = Page::open(program, &server);
    let ground = "getComputedStyle(document.body).backgroundColor";
    page.browser.prefer("light");
    let light = page.browser.value(ground);
    page.browser.prefer("dark");
    let dark = page.browser.value(ground);
    assert_ne!(light, dark);
    page.click("Colours: as the system");
    assert_eq!(page.browser.value(ground), light);
    // The choice is still there when the page is opened again.
    page.reopen("cluster");
    page.browser.until("t.find('Colours: light')");
    assert_eq!(page.browser.value(ground), light);
    page.click("Colours: light");
    page.browser.prefer("light");
    assert_eq!(page.browser.value(ground), dark);
    // Where the browser keeps nothing, the choice lasts as long as the page.
    let refusal = "for (const name of ['localStorage', 'sessionStorage'])
        Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError'); } });";
    page.browser.command("Page.addScriptToEvaluateOnNewDocument", json!({ "source": refusal }));
    page.reopen("cluster");
    page.sees("All is well.");
    page.click("Colours: as the system");
    page.browser.until("t.find('Colours: light')");
    page.assert_no_complaints();
}
