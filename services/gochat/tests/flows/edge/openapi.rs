//! The machine-readable description of the API.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::kit::Server;
use crate::matrix::ENDPOINTS;

#[tokio::test]
async fn openapi_lists_every_endpoint_of_the_contract() {
    let server = Server::shared().await;
    let reply = server
        .http()
        .raw("GET", "/api/openapi.json", &[], Bytes::new())
        .await;
    assert_eq!(reply.status, 200);
    assert!(reply.body["openapi"].as_str().unwrap().starts_with('3'));
    let mut listed = BTreeSet::new();
    for (path, item) in reply.body["paths"].as_object().unwrap() {
        // The description may or may not repeat the base path.
        let path = path.strip_prefix("/api").unwrap_or(path);
        for method in item.as_object().unwrap().keys() {
            listed.insert(format!("{} {}", method.to_uppercase(), without_names(path)));
        }
    }
    for (method, path) in ENDPOINTS {
        let wanted = format!("{method} {}", without_names(path));
        assert!(
            listed.contains(&wanted),
            "{wanted} is not described: {listed:#?}"
        );
    }
}

/// `/conversations/{conversationId}` and `/conversations/{id}` are the same path.
fn without_names(path: &str) -> String {
    path.split('/')
        .map(|part| if part.starts_with('{') { "{}" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}
