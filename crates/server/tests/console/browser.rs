//! A headless Chromium, driven over the DevTools protocol.
//!
//! The protocol is JSON on two pipes, each message with a zero byte behind it (`--remote-debugging-pipe`): no port, and no
//! library beyond the one for JSON.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::wait;

/// Names under which Chromium is installed.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The browser's ends of the pipes are its descriptors 3 and 4.
const TO_DESCRIPTORS: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

/// A browser with one page. Dropping it ends the browser.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    commands_sent: u64,
    session: String,
    /// What went wrong in the page: exceptions, and what the policy has blocked.
    complaints: Vec<String>,
    _profile: TempDir,
}

/// Returns the name of the browser's program.
///
/// # Errors
/// There is none.
pub(crate) fn program() -> Result<&'static str, String> {
    let is_there = |name: &&str| {
        let version =
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    PROGRAMS.into_iter().find(is_there).ok_or_else(|| format!("there is none of {}", PROGRAMS.join(", ")))
}

impl Browser {
    /// Starts a browser.
    pub(crate) fn start(program: &str) -> Browser {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let mut child = Command::new("sh")
            .args(["-c", TO_DESCRIPTORS, program, "--headless=new", "--remote-debugging-pipe"])
            // Containers allow no sandbox of its own; what is shown is ours.
            .args(["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"])
            .args(["--force-color-profile=srgb", "--lang=en-GB"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the browser starts");
        let commands = child.stdin.take().expect("a pipe");
        let mut answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while answers.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop_if(|last| *last == 0);
                let message = serde_json::from_slice(&std::mem::take(&mut message)).expect("JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Browser {
            child,
            commands,
            messages,
            commands_sent: 0,
            session: String::new(),
            complaints: Vec::new(),
            _profile: profile,
        };
        browser.attach();
        browser
    }

    fn attach(&mut self) {
        let target = self.command("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].take();
        let attached = self.command("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        attached["sessionId"].as_str().expect("a session").clone_into(&mut self.session);
        for domain in ["Page", "Runtime", "Log"] {
            self.command(&format!("{domain}.enable"), json!({}));
        }
        let helpers = include_str!("helpers.js");
        self.command("Page.addScriptToEvaluateOnNewDocument", json!({ "source": helpers }));
    }

    /// Sends a command and returns its result.
    pub(crate) fn command(&mut self, method: &str, params: Value) -> Value {
        self.commands_sent += 1;
        let id = self.commands_sent;
        let mut command = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).expect("the browser runs");
        loop {
            let mut message = self.messages.recv_timeout(wait::DEADLINE).expect("the browser answers");
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.complaints.extend(complaint(&message));
        }
    }

    /// Returns the value of an expression in the page, awaited if it is a promise.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut result = self.command("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].take()
    }

    /// Waits until an expression has a value that counts as true, and returns it.
    pub(crate) fn until(&mut self, expression: &str) -> Value {
        let found = wait::within(wait::DEADLINE, || {
            let value = self.value(expression);
            let is_true = !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value != 0;
            is_true.then_some(value)
        });
        found.unwrap_or_else(|| {
            panic!(
                "{expression} does not come true; the page says\n{}",
                self.value("document.body.innerText")
            )
        })
    }

    /// Opens an address and waits until it is loaded.
    pub(crate) fn open(&mut self, url: &str) {
        self.command("Page.navigate", json!({ "url": url }));
        self.until(&format!(
            "location.href.startsWith({}) && document.readyState === 'complete'",
            json!(url.split('#').next().unwrap_or(url))
        ));
    }

    /// Presses and releases a key of the keyboard, wherever the focus is.
    pub(crate) fn press(&mut self, key: &str) {
        let text = (key.chars().count() == 1).then_some(key).or((key == "Enter").then_some("\r"));
        let mut down =
            json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code_of(key) });
        if let Some(text) = text {
            down["text"] = json!(text);
        }
        self.command("Input.dispatchKeyEvent", down.clone());
        down["type"] = json!("keyUp");
        self.command("Input.dispatchKeyEvent", down);
    }

    /// Gives the page a size.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Has the system prefer `light` or `dark`.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.command("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Returns a picture of what is seen: PNG in base64.
    pub(crate) fn picture(&mut self) -> String {
        let mut result = self.command("Page.captureScreenshot", json!({ "format": "png" }));
        result["data"].take().as_str().expect("a picture").to_owned()
    }

    /// Returns what has gone wrong in the page since it was asked last.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        self.value("0");
        std::mem::take(&mut self.complaints)
    }
}

/// Returns the number of a key, by which the browser knows what to do with it itself (Escape closes a dialog).
fn code_of(key: &str) -> u32 {
    match key {
        "Enter" => 13,
        "Escape" => 27,
        "ArrowRight" => 39,
        "ArrowDown" => 40,
        _ => 0,
    }
}

/// Returns what an event says went wrong. Answers that are errors are none: a page shows them.
fn complaint(message: &Value) -> Option<String> {
    match message["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(message["params"]["exceptionDetails"].to_string()),
        "Log.entryAdded" => {
            let entry = &message["params"]["entry"];
            (entry["level"] == "error" && entry["source"] != "network").then(|| entry.to_string())
        }
        _ => None,
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
