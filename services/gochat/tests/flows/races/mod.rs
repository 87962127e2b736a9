//! Races, each forced many times.
//!
//! Everything a test waits for must come by itself: no further message is sent to push it along.

mod connecting;
mod doubles;
mod membership;
mod people;
mod resend;
mod revocation;
mod slow_rows;

use std::time::Duration;

/// "Within a second", with room for a machine that runs the rest of the suite at the same time. What these tests
/// look for never comes when it is lost, however long they wait.
const SOON: Duration = Duration::from_secs(12);

/// A pause of up to `most` microseconds, so that rounds meet in different places.
async fn jitter(most: u64) {
    let pause = rand::random_range(0..=most);
    tokio::time::sleep(Duration::from_micros(pause)).await;
}
