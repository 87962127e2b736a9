//! The chat page in a browser: two users, two windows. The tests do nothing on machines without Chromium.

mod browser;
mod catching_up;
mod files;
mod hidden;
mod log;
mod messages;
mod references;
mod system;

use crate::kit::{PASSWORD, Server, User};
use browser::{Browser, Window, quoted};

/// A group of two users, each with a window on it.
struct Room {
    // Windows close with their browser.
    browser: Browser,
    server: Server,
    group: String,
    anna: User,
    ben: User,
    annas: Window,
    bens: Window,
}

impl Room {
    async fn open() -> Option<Self> {
        let Some(browser) = Browser::start().await else {
            eprintln!("skipped: Chromium is not installed");
            return None;
        };
        let server = Server::shared().await;
        let [anna, ben] = server.users().await;
        let group = anna.group("Hikers", &[&ben]).await;
        let annas = sign_in(&browser, &server, &anna, &group).await;
        let bens = sign_in(&browser, &server, &ben, &group).await;
        Some(Self {
            browser,
            server,
            group,
            anna,
            ben,
            annas,
            bens,
        })
    }

    /// Every test ends here: no script failed, and the policy had nothing to refuse.
    fn close(&self) {
        for window in [&self.annas, &self.bens] {
            assert_eq!(window.complaints(), Vec::<String>::new());
        }
    }
}

/// A window of somebody who signed in by the form, on a conversation.
async fn sign_in(browser: &Browser, server: &Server, user: &User, conversation: &str) -> Window {
    let url = format!("{}/#{conversation}", server.http().base());
    let window = browser.window(&url).await;
    window.fills("#name", &user.name).await;
    window.fills("#pass", PASSWORD).await;
    window.press("Enter").await;
    window.until("document.querySelector('#app:not([hidden])') && !document.getElementById('state').textContent").await;
    window.reads("#title", "Hikers").await;
    window
        .until("!document.getElementById('log').textContent.includes('Loading')")
        .await;
    window
}

impl Window {
    /// Writes a message and waits until it is acknowledged.
    async fn says(&self, text: &str) -> String {
        self.fills("#text", text).await;
        self.press("Enter").await;
        self.message(text).await
    }

    /// Waits for a message with this text; the selector of it.
    async fn message(&self, text: &str) -> String {
        let find = format!(
            "[...document.querySelectorAll('article[data-id]')].find(n => n.querySelector('.bubble > .text')?.textContent === {})",
            quoted(text)
        );
        self.until(&find).await;
        let id = self.eval(&format!("{find}.dataset.id")).await;
        format!("article[data-id='{}']", id.as_str().unwrap())
    }

    /// Chooses from the menu of a message.
    async fn acts(&self, message: &str, act: &str) {
        self.click_right(&format!("{message} .bubble")).await;
        self.click(&format!("#menu [data-act={act}]")).await;
    }
}
