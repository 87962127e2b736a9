//! `/health`, `/ready`, `/live` and `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Health;
use crate::shell::metrics::Metrics;

/// The routes, to be served on a port of their own or beside others.
pub fn router(health: Health, metrics: Option<Metrics>) -> Router {
    let probes = Router::new()
        .route("/health", get(ready))
        .route("/ready", get(ready))
        .route("/live", get(live))
        .with_state(health);
    match metrics {
        None => probes,
        Some(metrics) => probes.merge(
            Router::new()
                .route("/metrics", get(scrape))
                .with_state(metrics),
        ),
    }
}

/// 200 while the process should get work, 503 with what is missing while it should not.
async fn ready(State(health): State<Health>) -> Response {
    let report = health.report();
    answer(report.status.is_ready(), &report)
}

/// 200 unless only a restart helps.
async fn live(State(health): State<Health>) -> Response {
    let alive = health.is_alive();
    let status = if alive { "ok" } else { "failed" };
    answer(alive, &serde_json::json!({ "status": status }))
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.render()).into_response()
}

fn answer(good: bool, body: &impl serde::Serialize) -> Response {
    let code = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = serde_json::to_vec(body).unwrap_or_default();
    (code, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::super::Need;
    use super::*;

    async fn code(health: &Health, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router(health.clone(), None).oneshot(request).await;
        answer.unwrap().status()
    }

    #[tokio::test]
    async fn an_absent_dependency_is_503_on_ready_and_200_on_live() {
        let health = Health::new("im-logic");
        let kafka = health.depend("kafka", Need::Required(Duration::ZERO));
        health.set_started();
        assert_eq!(code(&health, "/ready").await, 503);
        assert_eq!(code(&health, "/health").await, 503);
        assert_eq!(code(&health, "/live").await, 200);
        kafka.up();
        assert_eq!(code(&health, "/ready").await, 200);
        health.fail("number lost");
        assert_eq!(code(&health, "/live").await, 503);
    }
}
