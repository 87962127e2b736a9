//! Renewed tokens for the workers of a run, which hold connections with the old ones.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::process::ChildStdin;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::api::{Account, Api};
use super::plan::Order;
use super::swarm::tell;
use super::tokens::{self, Renewal, Tokens};

/// Where a worker listens, and which of its tokens belongs to which user.
pub(super) type Listener = (Arc<Mutex<ChildStdin>>, HashMap<usize, u32>);

/// Renews the tokens of users in time and tells the workers who use them.
pub(super) fn keep(
    api: &Api,
    users: &[Account],
    workers: Vec<Listener>,
) -> (Renewal, JoinHandle<()>) {
    let tokens: Vec<Tokens> = users.iter().map(|user| user.tokens.clone()).collect();
    let (sender, mut renewed) = mpsc::unbounded_channel::<Vec<usize>>();
    let renewal = tokens::keep(vec![api.clone()], tokens.clone(), sender);
    let telling = tokio::spawn(async move {
        while let Some(new) = renewed.recv().await {
            for (stdin, places) in &workers {
                let order = order(&new, places, &tokens);
                // A worker that is gone is noticed by whoever waits for its words.
                if let Some(order) = order
                    && tell(stdin, &order).await.is_err()
                {
                    return;
                }
            }
        }
    });
    (renewal, telling)
}

/// What a worker is told of the users whose tokens are new; `None` when it has none of them.
fn order(new: &[usize], places: &HashMap<usize, u32>, tokens: &[Tokens]) -> Option<Order> {
    let here = new.iter().filter_map(|user| {
        let at = *places.get(user)?;
        Some((at, tokens.get(*user)?.access()))
    });
    let here: Vec<(u32, String)> = here.collect();
    (!here.is_empty()).then_some(Order::Renew(here))
}
