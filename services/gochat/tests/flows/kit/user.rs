//! A signed-in user.

use serde_json::{Value, json};

use super::http::Http;
use super::{Reply, Socket, list, text};

/// Everybody's password.
pub const PASSWORD: &str = "correct horse";

/// Somebody with a token.
#[derive(Clone)]
pub struct User {
    pub id: String,
    pub name: String,
    pub token: String,
    pub refresh_token: String,
    pub http: Http,
}

impl User {
    pub fn new(http: Http, session: &Value) -> Self {
        Self {
            id: text(&session["user"]["id"]),
            name: text(&session["user"]["username"]),
            token: text(&session["accessToken"]),
            refresh_token: text(&session["refreshToken"]),
            http,
        }
    }

    /// The same session with the tokens of a refresh.
    pub fn renewed(&self, pair: &Value) -> Self {
        Self {
            token: text(&pair["accessToken"]),
            refresh_token: text(&pair["refreshToken"]),
            ..self.clone()
        }
    }

    /// The same user with a connection pool that only this value uses.
    pub fn apart(&self) -> Self {
        Self {
            http: Http::new(self.http.base().to_owned()),
            ..self.clone()
        }
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.http.call(method, path, Some(&self.token), body).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.call("PUT", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path, None).await
    }

    /// Opens a socket as a device of its own.
    pub async fn connect(&self) -> Socket {
        self.try_connect("")
            .await
            .expect("the handshake is accepted")
    }

    /// Opens a socket of a named device.
    pub async fn connect_device(&self, device: &str) -> Socket {
        self.try_connect(&format!("&device={device}"))
            .await
            .expect("the handshake is accepted")
    }

    /// Opens a socket; `Err` holds the status of a refused handshake.
    pub async fn try_connect(&self, more: &str) -> Result<Socket, u16> {
        Socket::open(self.http.base(), &format!("token={}{more}", self.token)).await
    }

    /// The id of this session.
    pub async fn session(&self) -> String {
        let sessions = self.get("/sessions").await.data();
        let current = list(&sessions["sessions"])
            .iter()
            .find(|s| s["current"] == true);
        text(&current.expect("a session of its own")["id"])
    }

    /// The single chat with somebody.
    pub async fn chat_with(&self, other: &User) -> String {
        let data = self
            .post("/conversations", json!({"type": 1, "members": [other.id]}))
            .await
            .data();
        text(&data["id"])
    }

    /// A new group.
    pub async fn group(&self, name: &str, members: &[&User]) -> String {
        let ids: Vec<&str> = members.iter().map(|m| m.id.as_str()).collect();
        // Most flows count the messages of people; those of system messages switch them on.
        let quiet = json!({"group_settings": {"system_messages": false}});
        let body = json!({"type": 2, "name": name, "members": ids, "settings": quiet});
        let data = self.post("/conversations", body).await.data();
        text(&data["id"])
    }

    /// Makes the two friends; the answer of the acceptance.
    pub async fn befriend(&self, other: &User) -> Value {
        let id = self.ask(other).await;
        other
            .put(
                &format!("/friends/requests/{id}"),
                json!({"action": "accept"}),
            )
            .await
            .data()
    }

    /// Asks for friendship; the id of the request.
    pub async fn ask(&self, other: &User) -> String {
        let data = self
            .post("/friends/requests", json!({"targetUserId": other.id}))
            .await
            .data();
        text(&data["request"]["id"])
    }

    /// Sends over HTTP.
    pub async fn say(&self, conversation: &str, text: &str) -> Reply {
        let body = json!({"messageType": 1, "content": text});
        self.post(&format!("/conversations/{conversation}/messages"), body)
            .await
    }

    /// Sends over HTTP under a client id.
    pub async fn say_as(&self, conversation: &str, text: &str, client_msg_id: &str) -> Reply {
        let body = json!({"messageType": 1, "content": text, "client_msg_id": client_msg_id});
        self.post(&format!("/conversations/{conversation}/messages"), body)
            .await
    }

    /// Everything in history, oldest first, read page by page.
    pub async fn history(&self, conversation: &str) -> Vec<Value> {
        self.history_after(conversation, 0).await
    }

    /// Everything in history after a seq, oldest first, read page by page.
    pub async fn history_after(&self, conversation: &str, seq: i64) -> Vec<Value> {
        let mut all = Vec::new();
        let mut after = seq;
        loop {
            let path =
                format!("/conversations/{conversation}/messages?after_seq={after}&limit=100");
            let page = self.get(&path).await.data();
            all.extend(list(&page["messages"]).iter().cloned());
            if page["hasMore"] != true {
                return all;
            }
            after = page["nextCursor"].as_i64().expect("a cursor");
        }
    }

    /// The whole history, which is known to hold `count` messages. Whoever sent, heard or knows of
    /// a message reads it at once; only an answer that says it is behind is asked for again.
    pub async fn history_of(&self, conversation: &str, count: usize) -> Vec<Value> {
        let newest = format!("/conversations/{conversation}/messages?limit=1&at_least={count}");
        super::eventually("history says that it is complete", || async {
            (self.get(&newest).await.data()["behind"] != true).then_some(())
        })
        .await;
        let all = self.history(conversation).await;
        assert!(
            all.len() >= count,
            "an answer that isn't behind lacks messages"
        );
        all
    }

    /// The conversation list, one large page.
    pub async fn conversations(&self) -> Vec<Value> {
        list(&self.get("/conversations?size=100").await.data()["conversations"]).clone()
    }

    /// One conversation of the list.
    pub async fn listed(&self, conversation: &str) -> Option<Value> {
        self.conversations()
            .await
            .into_iter()
            .find(|c| c["id"] == conversation)
    }

    /// The unread count in the list; fails the test when the conversation isn't there.
    pub async fn unread(&self, conversation: &str) -> i64 {
        let listed = self
            .listed(conversation)
            .await
            .expect("the conversation is on the list");
        listed["unreadCount"].as_i64().expect("an unread count")
    }

    /// Waits until the list says so many messages are unread.
    pub async fn unread_becomes(&self, conversation: &str, count: i64) {
        super::eventually(&format!("{count} unread"), || async {
            (self.unread(conversation).await == count).then_some(())
        })
        .await;
    }
}
