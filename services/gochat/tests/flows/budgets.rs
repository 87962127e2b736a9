//! What one party costs others is bounded, and charged to what it can't multiply.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::kit::{PASSWORD, Reply, Server, User, fresh_name, list};

/// The rates of the gateway are out of the way, the budgets of im-logic are not; addresses can be
/// chosen.
const BUDGETS: [&str; 9] = [
    "gateway.rates.disabled=false",
    "gateway.rates.http.rate=100000",
    "gateway.rates.http.capacity=100000",
    "gateway.rates.login.rate=100000",
    "gateway.rates.login.capacity=100000",
    "gateway.rates.register.rate=100000",
    "gateway.rates.register.capacity=100000",
    "gateway.rates.instance.rate=100000",
    "gateway.rates.instance.capacity=100000",
];
const PROXY: &str = "gateway.connections.trusted_proxies=[\"127.0.0.1\"]";

async fn server(more: &[&str]) -> Option<Server> {
    let mut settings = BUDGETS.to_vec();
    settings.push(PROXY);
    settings.extend(more);
    Server::with(&settings).await
}

/// A call from an address.
async fn from(server: &Server, address: &str, path: &str, body: &Value) -> Reply {
    let headers = [("x-forwarded-for", address)];
    let body = Bytes::from(body.to_string());
    server.http().raw("POST", path, &headers, body).await
}

async fn sign_in(server: &Server, address: &str, name: &str, password: &str) -> Reply {
    let account = json!({"username": name, "password": password});
    from(server, address, "/api/auth/login", &account).await
}

#[tokio::test]
async fn guesses_at_one_account_are_counted_over_all_addresses_and_the_owner_still_signs_in() {
    let Some(server) = server(&[]).await else {
        return;
    };
    let name = fresh_name();
    let account = json!({"username": name, "password": PASSWORD});
    from(&server, "192.0.2.1", "/api/auth/register", &account)
        .await
        .data();
    sign_in(&server, "192.0.2.1", &name, PASSWORD).await.data();
    let (mut judged, mut refused) = (0, 0);
    for n in 0..60 {
        let address = format!("198.51.100.{}", n % 20);
        let reply = sign_in(&server, &address, &name, "wrong password").await;
        match reply.status {
            401 => judged += 1,
            429 => {
                refused += 1;
                assert_eq!(reply.code(), "RATE_LIMITED");
                let wait: u64 = reply.header("retry-after").parse().unwrap();
                assert!((1..=900).contains(&wait), "{wait}");
                assert_eq!(reply.body["details"]["retryAfter"], wait);
            }
            other => panic!("{other}: {}", reply.body),
        }
    }
    assert_eq!((judged, refused), (10, 50));
    // The right password from a new place waits as well; that is the price of not telling.
    sign_in(&server, "198.51.100.99", &name, PASSWORD)
        .await
        .refused(429, "RATE_LIMITED");
    // Where the owner was before, strangers don't count.
    for _ in 0..3 {
        sign_in(&server, "192.0.2.1", &name, PASSWORD).await.data();
    }
    // Another spelling of the name is the same account.
    sign_in(&server, "198.51.100.1", &name.to_uppercase(), PASSWORD)
        .await
        .refused(429, "RATE_LIMITED");
}

#[tokio::test]
async fn a_device_is_known_wherever_it_goes() {
    let Some(server) = server(&[]).await else {
        return;
    };
    let name = fresh_name();
    let device = "0b2f8a9c-5a1d-4d0e-9a55-000000000001";
    let account = json!({"username": name, "password": PASSWORD, "deviceId": device});
    from(&server, "192.0.2.1", "/api/auth/register", &account)
        .await
        .data();
    from(&server, "192.0.2.1", "/api/auth/login", &account)
        .await
        .data();
    for n in 0..20 {
        sign_in(&server, &format!("198.51.100.{n}"), &name, "wrong password").await;
    }
    from(&server, "203.0.113.9", "/api/auth/login", &account)
        .await
        .data();
    let stolen = json!({"username": name, "password": PASSWORD, "deviceId": "phone"});
    from(&server, "203.0.113.10", "/api/auth/login", &stolen)
        .await
        .refused(429, "RATE_LIMITED");
}

#[tokio::test]
async fn names_without_an_account_answer_as_others_do() {
    let Some(server) = server(&[]).await else {
        return;
    };
    let name = fresh_name();
    let mut answers = Vec::new();
    for n in 0..12 {
        let reply = sign_in(&server, &format!("198.51.100.{n}"), &name, "wrong password").await;
        answers.push(reply.status);
    }
    let expected: Vec<u16> = [401; 10].into_iter().chain([429; 2]).collect();
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn an_address_makes_only_so_many_guests() {
    let Some(server) = server(&["logic.budgets.guests_by_address.capacity=4"]).await else {
        return;
    };
    let guest = async |address: &str| from(&server, address, "/api/auth/guest", &json!({})).await;
    for n in 0..4 {
        // One network of IPv6 counts as one address.
        guest(&format!("2001:db8:1:2::{n}")).await.data_with(201);
    }
    let refused = guest("2001:db8:1:2::ffff").await;
    refused.refused(429, "RATE_LIMITED");
    assert!(!refused.header("retry-after").is_empty());
    guest("2001:db8:1:3::1").await.data_with(201);
}

#[tokio::test]
async fn all_guests_together_are_bounded() {
    let more = [
        "logic.budgets.guests.capacity=5",
        "logic.budgets.guests.rate=0.001",
    ];
    let Some(server) = server(&more).await else {
        return;
    };
    let mut made = 0;
    for n in 0..20 {
        let reply = from(
            &server,
            &format!("192.0.2.{n}"),
            "/api/auth/guest",
            &json!({}),
        )
        .await;
        made += u32::from(reply.status == 201);
    }
    assert_eq!(made, 5);
}

async fn members(server: &Server, count: usize) -> (User, Vec<User>) {
    let mut users = Vec::new();
    for _ in 0..count {
        users.push(server.user().await);
    }
    (server.user().await, users)
}

#[tokio::test]
async fn a_signal_about_many_members_carries_few_profiles() {
    let server = Server::shared().await;
    let (owner, users) = members(&server, 15).await;
    let group = owner.group("many", &[&server.user().await]).await;
    let mut socket = owner.connect().await;
    let ids: Vec<&str> = users.iter().map(|user| user.id.as_str()).collect();
    owner
        .post(
            &format!("/conversations/{group}/members"),
            json!({"members": ids}),
        )
        .await
        .data_with(201);
    let frame = socket.expect("member-added").await;
    assert_eq!(list(&frame["members"]).len(), 10);
    assert_eq!(
        (&frame["userIds"], &frame["added"]),
        (&json!(ids), &json!(15))
    );
    assert_eq!(frame["memberCount"], 17);
}

#[tokio::test]
async fn members_who_come_and_go_use_up_a_budget() {
    let more = [
        "logic.budgets.member_changes_in_group.capacity=60",
        "logic.budgets.member_changes_in_group.rate=0.001",
    ];
    let Some(server) = server(&more).await else {
        return;
    };
    let (owner, users) = members(&server, 4).await;
    let group = owner.group("restless", &[&server.user().await]).await;
    let ids: Vec<&str> = users.iter().map(|user| user.id.as_str()).collect();
    let path = format!("/conversations/{group}/members");
    // 4 rows × 6 told, then 4 × 10, and the budget is used up.
    owner.post(&path, json!({"members": ids})).await.data();
    let remove = async || {
        let one = format!("{path}/{}", ids[0]);
        owner.delete(&one).await
    };
    remove().await.data();
    let again = owner.post(&path, json!({"members": [ids[0]]})).await;
    again.data();
    let mut outcomes = Vec::new();
    for _ in 0..6 {
        outcomes.push(remove().await.status);
        outcomes.push(owner.post(&path, json!({"members": [ids[0]]})).await.status);
    }
    assert_eq!(outcomes.last(), Some(&429), "{outcomes:?}");
    // Leaving is always possible.
    users[1]
        .delete(&format!("{path}/{}", users[1].id))
        .await
        .data();
}

#[tokio::test]
async fn a_search_needs_two_characters_and_has_a_budget() {
    let more = [
        "logic.budgets.searches.capacity=3",
        "logic.budgets.searches.rate=0.001",
    ];
    let Some(server) = server(&more).await else {
        return;
    };
    let user = server.user().await;
    user.get("/users/search?q=a")
        .await
        .refused(400, "INVALID_PARAMS");
    for _ in 0..3 {
        user.get("/users/search?q=ab").await.data();
    }
    user.get("/users/search?q=ab")
        .await
        .refused(429, "RATE_LIMITED");
}

#[tokio::test]
async fn one_user_is_asked_by_so_many_and_no_more() {
    let more = [
        "logic.budgets.requests_to_user.capacity=2",
        "logic.budgets.requests_to_user.rate=0.001",
    ];
    let Some(server) = server(&more).await else {
        return;
    };
    let [target, other] = server.users().await;
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        let stranger = server.user().await;
        let ask = stranger.post("/friends/requests", json!({"targetUserId": target.id}));
        outcomes.push(ask.await.status);
        stranger
            .post("/friends/requests", json!({"targetUserId": other.id}))
            .await;
    }
    assert_eq!(outcomes[2], 429, "{outcomes:?}");
    assert!(
        outcomes[..2].iter().all(|status| *status < 300),
        "{outcomes:?}"
    );
}

/// The gateway's own rates for the world chat are out of the way.
const WORLD: [&str; 4] = [
    "gateway.rates.send.rate=100000",
    "gateway.rates.send.capacity=100000",
    "gateway.rates.world_send.rate=100000",
    "gateway.rates.world_send.capacity=100000",
];

#[tokio::test]
async fn the_world_takes_its_rate_and_says_when_the_next_may_be_sent() {
    let mut more = WORLD.to_vec();
    more.extend([
        "logic.pipeline.pace.world_messages.rate=0.01",
        "logic.pipeline.pace.world_messages.capacity=6",
    ]);
    let Some(server) = server(&more).await else {
        return;
    };
    let [one, other] = [server.guest().await, server.guest().await];
    let account = server.user().await;
    // Half of it is all that guests may use up, however many they are.
    one.say("world", "1").await.data_with(201);
    other.say("world", "2").await.data_with(201);
    one.say("world", "3").await.data_with(201);
    let refused = other.say("world", "4").await;
    refused.refused(429, "SLOW_MODE");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=200).contains(&wait), "{wait}");
    let mut socket = account.connect().await;
    for n in 0..3 {
        socket.say_acked("world", "mine", &format!("m{n}")).await;
    }
    socket.say("world", "too much", "m3").await;
    let error = socket
        .expect_where("error", |e| e["details"]["client_msg_id"] == "m3")
        .await;
    assert_eq!(error["code"], "SLOW_MODE");
    let wait = error["details"]["retryAfter"].as_u64().unwrap();
    assert!((1..=100).contains(&wait), "{wait}");
    assert_eq!(account.history_of("world", 6).await.len(), 6);
}

#[tokio::test]
async fn one_author_sends_to_the_world_what_its_settings_say() {
    let Some(server) = server(&WORLD).await else {
        return;
    };
    let [author, other] = server.users().await;
    for n in 0..10 {
        author.say("world", &format!("{n}")).await.data_with(201);
    }
    let refused = author.say("world", "the eleventh").await;
    refused.refused(429, "RATE_LIMITED");
    other.say("world", "somebody else may").await.data_with(201);
}

#[tokio::test]
async fn guests_write_shorter_texts() {
    let Some(server) = server(&[]).await else {
        return;
    };
    let (guest, account) = (server.guest().await, server.user().await);
    guest.say("world", &"ü".repeat(1_000)).await.data_with(201);
    let long = "x".repeat(1_001);
    guest
        .say("world", &long)
        .await
        .refused(400, "MESSAGE_TOO_LARGE");
    account.say("world", &long).await.data_with(201);
}

#[tokio::test]
async fn an_invitation_code_is_good_for_so_many_accounts_even_after_a_restart() {
    let more = [
        "logic.admission.registration=invite",
        "logic.admission.invitations=[\"spring-2031:2\"]",
    ];
    let Some(mut server) = server(&more).await else {
        return;
    };
    let register = async |server: &Server, name: &str, code: Option<&str>| {
        let account = json!({"username": name, "password": PASSWORD, "invitation": code});
        from(server, "192.0.2.1", "/api/auth/register", &account).await
    };
    let name = fresh_name();
    for bad in [None, Some(""), Some("autumn-2031"), Some("spring-2031:2")] {
        let refused = register(&server, &name, bad).await;
        refused.refused(403, "INVITATION_INVALID");
    }
    let good = Some("spring-2031");
    register(&server, &name, good).await.data_with(201);
    // A name that is taken costs the code nothing.
    let taken = register(&server, &name, good).await;
    taken.refused(400, "USER_ALREADY_EXISTS");
    server.restart().await;
    register(&server, &fresh_name(), good).await.data_with(201);
    let used_up = register(&server, &fresh_name(), good).await;
    used_up.refused(403, "INVITATION_INVALID");
}

#[tokio::test]
async fn closed_doors_let_nobody_in() {
    let more = [
        "logic.admission.registration=closed",
        "logic.admission.guests=false",
    ];
    let Some(server) = server(&more).await else {
        return;
    };
    let account = json!({"username": fresh_name(), "password": PASSWORD});
    let registered = from(&server, "192.0.2.1", "/api/auth/register", &account).await;
    registered.refused(403, "REGISTRATION_CLOSED");
    let guest = from(&server, "192.0.2.1", "/api/auth/guest", &json!({})).await;
    guest.refused(403, "GUEST_NOT_ALLOWED");
}
