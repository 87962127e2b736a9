//! Chromium, driven over a pipe by its debugging protocol.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use crate::kit::{PATIENCE, eventually};

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Nothing but what a test asks for, and no request to anywhere else.
const ARGUMENTS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "--window-size=1280,800",
];
/// The browser reads commands from descriptor 3 and answers on descriptor 4.
const REDIRECT: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

type Waiting = Mutex<HashMap<u64, oneshot::Sender<Value>>>;

struct Shared {
    write: AsyncMutex<ChildStdin>,
    ids: AtomicU64,
    waiting: Waiting,
    /// What pages complained about, with the session of the page.
    complaints: Mutex<Vec<(String, String)>>,
}

/// A browser of one test.
pub struct Browser {
    shared: Arc<Shared>,
    _child: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser; `None` on machines that have none.
    pub async fn start() -> Option<Self> {
        let profile = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let name = NAMES.iter().find(|name| is_installed(name))?;
        let mut child = Command::new("sh")
            .args(["-c", REDIRECT, "sh", name])
            .args(ARGUMENTS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the browser starts");
        let write = child.stdin.take().expect("a pipe");
        let read = child.stdout.take().expect("a pipe");
        let shared = Arc::new(Shared {
            write: AsyncMutex::new(write),
            ids: AtomicU64::new(1),
            waiting: Waiting::default(),
            complaints: Mutex::default(),
        });
        tokio::spawn(read_all(read, shared.clone()));
        Some(Self {
            shared,
            _child: child,
            _profile: profile,
        })
    }

    /// A window that shares nothing with others, on a page of the server.
    pub async fn window(&self, url: &str) -> Window {
        let context = self.call("Target.createBrowserContext", json!({})).await;
        let target = json!({"url": "about:blank", "browserContextId": context["browserContextId"], "newWindow": true});
        let target = self.call("Target.createTarget", target).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call("Target.attachToTarget", attach).await;
        let window = Window {
            shared: self.shared.clone(),
            session: attached["sessionId"]
                .as_str()
                .expect("a session")
                .to_owned(),
        };
        for domain in ["Page", "Runtime", "Log"] {
            window.call(&format!("{domain}.enable"), json!({})).await;
        }
        let focused = json!({"enabled": true});
        window
            .call("Emulation.setFocusEmulationEnabled", focused)
            .await;
        let source = json!({"source": include_str!("network.js")});
        window
            .call("Page.addScriptToEvaluateOnNewDocument", source)
            .await;
        window.call("Page.navigate", json!({"url": url})).await;
        window.until("document.readyState === 'complete'").await;
        window
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        self.shared.call(None, method, params).await
    }
}

fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

async fn read_all(read: ChildStdout, shared: Arc<Shared>) {
    let mut read = BufReader::new(read);
    let mut message = Vec::new();
    while read.read_until(0, &mut message).await.is_ok_and(|n| n > 0) {
        message.pop();
        let said: Value = serde_json::from_slice(&message).expect("JSON of the browser");
        message.clear();
        match said["id"].as_u64() {
            Some(id) => {
                if let Some(waiting) = shared.waiting.lock().remove(&id) {
                    // A test that ended doesn't wait any more.
                    let _ = waiting.send(said);
                }
            }
            None => shared.event(&said),
        }
    }
}

impl Shared {
    async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let answer = self.try_call(session, method, params).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// `Err` holds what the browser says is wrong.
    async fn try_call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, Value> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let mut command = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().insert(id, answer);
        let text = format!("{command}\0");
        let mut write = self.write.lock().await;
        write
            .write_all(text.as_bytes())
            .await
            .expect("the browser listens");
        drop(write);
        let answer = tokio::time::timeout(PATIENCE, answered).await;
        let mut answer = answer
            .expect("the browser answers")
            .expect("the browser lives");
        match answer["error"].take() {
            Value::Null => Ok(answer["result"].take()),
            error => Err(error),
        }
    }

    /// Errors of scripts and of the policy count; a refusal of the API that the page shows doesn't.
    fn event(&self, said: &Value) {
        let (entry, details) = (
            &said["params"]["entry"],
            &said["params"]["exceptionDetails"],
        );
        let is_bad = match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => entry["level"] == "error" && entry["source"] != "network",
            _ => false,
        };
        if is_bad {
            let session = said["sessionId"].as_str().unwrap_or_default().to_owned();
            self.complaints
                .lock()
                .push((session, format!("{entry} {details}")));
        }
    }
}

/// A window.
pub struct Window {
    shared: Arc<Shared>,
    session: String,
}

impl Window {
    async fn call(&self, method: &str, params: Value) -> Value {
        self.shared.call(Some(&self.session), method, params).await
    }

    /// The value of an expression of JavaScript.
    pub async fn eval(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", params).await;
        let failure = &answer["exceptionDetails"];
        assert!(failure.is_null(), "{expression}: {failure}");
        answer["result"]["value"].take()
    }

    /// Loads the page anew.
    pub async fn reload(&self) {
        self.eval("window.isOld = true").await;
        self.call("Page.reload", json!({})).await;
        // Between two documents there is none that could be asked.
        let is_new = json!({"expression": "!window.isOld && document.readyState === 'complete'"});
        eventually("the page is loaded anew", async || {
            let session = Some(self.session.as_str());
            let asked = self
                .shared
                .try_call(session, "Runtime.evaluate", is_new.clone());
            let answer = asked.await.ok()?;
            (answer["result"]["value"] == true).then_some(())
        })
        .await;
    }

    /// Waits until an expression holds.
    pub async fn until(&self, expression: &str) {
        let what = format!(
            "{expression}\non a page that says\n{}",
            self.text("body").await
        );
        let test = format!("!!({expression})");
        eventually(&what, async || {
            (self.eval(&test).await == true).then_some(())
        })
        .await;
    }

    /// Waits until something is on the page.
    pub async fn sees(&self, selector: &str) {
        self.until(&format!("document.querySelector({})", quoted(selector)))
            .await;
    }

    /// Waits until a text is on the page where a selector says.
    pub async fn reads(&self, selector: &str, text: &str) {
        let (selector, text) = (quoted(selector), quoted(text));
        let found = "n => n.textContent.includes";
        self.until(&format!(
            "[...document.querySelectorAll({selector})].some({found}({text}))"
        ))
        .await;
    }

    /// Text of the first element.
    pub async fn text(&self, selector: &str) -> String {
        let text = format!(
            "document.querySelector({})?.innerText ?? ''",
            quoted(selector)
        );
        self.eval(&text)
            .await
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Clicks in the middle of the first element.
    pub async fn click(&self, selector: &str) {
        self.press_mouse(selector, "left").await;
    }

    /// Asks for the menu of the first element.
    pub async fn click_right(&self, selector: &str) {
        self.press_mouse(selector, "right").await;
    }

    /// Presses where the element stays and nothing lies over it: a page that is still being laid out
    /// would be hit elsewhere.
    async fn press_mouse(&self, selector: &str, button: &str) {
        self.sees(selector).await;
        let place = format!(
            "(async () => {{ const n = document.querySelector({}); if (!n) return null;
            n.scrollIntoView({{block: 'nearest'}});
            const at = () => {{ const b = n.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }};
            const before = at(); await new Promise(done => setTimeout(done, 50)); const now = at();
            const stays = before[0] === now[0] && before[1] === now[1];
            return stays && n.contains(document.elementFromPoint(...now)) ? now : null; }})()",
            quoted(selector)
        );
        let place = eventually(&format!("`{selector}` can be clicked"), async || {
            let place = self.eval(&place).await;
            place.is_array().then_some(place)
        })
        .await;
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": button, "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Types into what has the focus.
    pub async fn types(&self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Presses a key, by its name.
    pub async fn press(&self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "ArrowUp" => 38,
            "ArrowDown" => 40,
            _ => panic!("a key that no test pressed yet: {key}"),
        };
        let mut event =
            json!({"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code});
        if key == "Enter" {
            event["text"] = "\r".into();
        }
        self.call("Input.dispatchKeyEvent", event.clone()).await;
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", event).await;
    }

    /// Replaces what a field holds.
    pub async fn fills(&self, selector: &str, text: &str) {
        self.sees(selector).await;
        let select = format!(
            "(n => {{ n.focus(); n.select(); }})(document.querySelector({}))",
            quoted(selector)
        );
        self.eval(&select).await;
        self.types(text).await;
    }

    /// What scripts and the policy of the page complained about so far.
    pub fn complaints(&self) -> Vec<String> {
        let complaints = self.shared.complaints.lock();
        let own = complaints
            .iter()
            .filter(|(session, _)| *session == self.session);
        own.map(|(_, complaint)| complaint.clone()).collect()
    }
}

/// A text of JavaScript.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
