//! Settings of the services, as variables of their environment.

use crate::bench::Result;
use crate::check::server::WAYS_OF_FANOUT;
use crate::check::sessions::TOKENS_LIVE_S;

type Variables = Vec<(String, String)>;

/// What all instances read: where the servers are, and a secret of this run.
pub(super) fn shared(servers: Variables, extra: &[String]) -> Variables {
    let secret: [u64; 4] = rand::random();
    let mut all = servers;
    let mut set = |name: &str, value: String| all.push((name.to_owned(), value));
    set(
        "JWT_SECRET",
        secret.map(|part| format!("{part:016x}")).concat(),
    );
    set("SERVER_HOST", "127.0.0.1".to_owned());
    set("SERVER_ADVERTISE", "127.0.0.1".to_owned());
    // The load is far above what a person may send.
    set("GOCHAT_GATEWAY__RATES__DISABLED", "true".to_owned());
    set("GOCHAT_LOGIC__BUDGETS__DISABLED", "true".to_owned());
    set(
        "GOCHAT_LOGIC__AUTH__ACCESS_TTL_S",
        TOKENS_LIVE_S.to_string(),
    );
    let extra = extra.iter().map(String::as_str);
    for assignment in WAYS_OF_FANOUT.into_iter().chain(extra) {
        if let Some((path, value)) = assignment.split_once('=') {
            let name = format!("GOCHAT_{}", path.replace('.', "__").to_uppercase());
            set(&name, value.to_owned());
        }
    }
    all
}

/// What one instance reads, and the URL of a gateway.
pub(super) fn instance(service: &str) -> Result<(Variables, Option<String>)> {
    let ports = gochat_infra::listen::free_ports(3)?;
    let mut variables = vec![
        ("SERVER_GRPC_PORT".to_owned(), ports[0].to_string()),
        ("SERVER_HTTP_PORT".to_owned(), ports[1].to_string()),
    ];
    if service == "im-repo" {
        variables.push(("SERVER_PORT".to_owned(), ports[0].to_string()));
    }
    if service != "im-gateway" {
        return Ok((variables, None));
    }
    let listen = format!("127.0.0.1:{}", ports[2]);
    let url = format!("http://{listen}");
    variables.push(("GOCHAT_GATEWAY__LISTEN".to_owned(), listen));
    Ok((variables, Some(url)))
}
