//! The console of a server in a browser, as a person uses it.

use serde_json::json;
use testkit::Server;

use crate::browser::Browser;

/// A page of the console.
pub(crate) struct Page {
    pub(crate) browser: Browser,
    address: String,
}

impl Page {
    /// Opens the console of a server.
    pub(crate) fn open(program: &str, server: &Server) -> Page {
        let mut browser = Browser::start(program);
        let address = server.client_address();
        browser.resize(1280, 860);
        browser.open(&format!("http://{address}/console/"));
        Page { browser, address }
    }

    /// Goes to a view.
    pub(crate) fn go(&mut self, path: &str) {
        self.browser.value(&format!("location.hash = {}; 0", json!(format!("#/{path}"))));
    }

    /// Opens the console anew, at a view.
    pub(crate) fn reopen(&mut self, path: &str) {
        self.browser.open("about:blank");
        self.browser.open(&format!("http://{}/console/#/{path}", self.address));
    }

    /// Uses what is called `name`: a button, a link, a tab, a branch of the tree. Waits until it is there.
    pub(crate) fn click(&mut self, name: &str) {
        self.browser.until(&format!("t.click({})", json!(name)));
    }

    /// Fills a field. Waits until it is there.
    pub(crate) fn fill(&mut self, label: &str, text: &str) {
        self.browser.until(&format!("t.fill({}, {})", json!(label), json!(text)));
    }

    /// Waits until the page shows a text.
    pub(crate) fn sees(&mut self, text: &str) {
        self.browser.until(&format!("t.says({})", json!(text)));
    }

    /// Returns the keys and branches that the tree shows.
    pub(crate) fn tree(&mut self) -> Vec<String> {
        serde_json::from_value(self.browser.value("t.items()")).expect("names")
    }

    /// Logs in.
    pub(crate) fn log_in(&mut self, user: &str, password: &str) {
        self.fill("User", user);
        self.fill("Password", password);
        self.click("Log in");
    }

    /// Asserts that nothing has gone wrong in the page, and that nothing was blocked.
    pub(crate) fn assert_no_complaints(&mut self) {
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
    }
}
