//! Limits and heartbeat of one connection, in a few bytes and without a clock.
//!
//! A gateway holds a [`ServerSession`] per socket and one [`Rules`] for all of them. Times
//! are passed in: milliseconds for the rate, seconds for the heartbeat, both counted from any
//! moment the process likes (its start is a good one), so that they fit 32 bits.
//!
//! Two callers share the work. The connection's reader calls [`ServerSession::admit`] for every
//! message. A sweeper, one for all connections, calls [`beat`] (or [`ServerSession::beat`])
//! about once per second; no connection needs a timer of its own.

/// Codes a WebSocket is closed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum CloseCode {
    /// The client said goodbye.
    Normal = 1000,
    /// The server restarts: connect again, to any gateway.
    GoingAway = 1001,
    /// The peer broke RFC 6455.
    Protocol = 1002,
    /// A kind of data the server doesn't take.
    Unsupported = 1003,
    /// Text that isn't UTF-8.
    InvalidData = 1007,
    /// A frame or message beyond the limit.
    TooBig = 1009,
    /// The server failed.
    Internal = 1011,
    /// The connection's send queue ran over: connect again and resync.
    SlowConsumer = 1013,
    /// A newer connection of the same user took the place.
    Replaced = 4001,
    /// The token expired or was revoked: refresh it, then connect again.
    TokenExpired = 4002,
    /// No sign of life for too long.
    HeartbeatTimeout = 4003,
    /// Flooding, or another breach of policy.
    Policy = 4008,
}

impl CloseCode {
    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self as u16
    }

    /// The code with this number, when it is one of ours.
    pub const fn from_u16(code: u16) -> Option<Self> {
        Some(match code {
            1000 => Self::Normal,
            1001 => Self::GoingAway,
            1002 => Self::Protocol,
            1003 => Self::Unsupported,
            1007 => Self::InvalidData,
            1009 => Self::TooBig,
            1011 => Self::Internal,
            1013 => Self::SlowConsumer,
            4001 => Self::Replaced,
            4002 => Self::TokenExpired,
            4003 => Self::HeartbeatTimeout,
            4008 => Self::Policy,
            _ => return None,
        })
    }

    /// A short sentence for the close frame.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::GoingAway => "server going away",
            Self::Protocol => "protocol error",
            Self::Unsupported => "unsupported data",
            Self::InvalidData => "text is not UTF-8",
            Self::TooBig => "message too big",
            Self::Internal => "internal error",
            Self::SlowConsumer => "reading too slowly",
            Self::Replaced => "replaced by another connection",
            Self::TokenExpired => "token expired or revoked",
            Self::HeartbeatTimeout => "no sign of life",
            Self::Policy => "too many messages",
        }
    }
}

/// What all connections of a gateway have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Messages per second a connection may send in the long run.
    pub rate: u32,
    /// Messages it may send at once after a pause.
    pub burst: u32,
    /// Messages refused in a row after which the connection is closed.
    pub max_refused: u16,
    /// Seconds between two pings.
    pub ping_every_s: u32,
    /// Seconds without any frame after which the connection is dead.
    pub dead_after_s: u32,
}

impl Default for Rules {
    /// 50 messages per second, burst 100; ping every 30 s, dead after 40 s.
    fn default() -> Self {
        Self {
            rate: 50,
            burst: 100,
            max_refused: 200,
            ping_every_s: 30,
            dead_after_s: 40,
        }
    }
}

/// Whether a message may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// Handle it.
    Accept,
    /// Drop it and answer `error RATE_LIMITED`; the connection stays.
    Limited,
    /// The peer keeps flooding: close with [`CloseCode::Policy`].
    Close,
}

/// What the sweeper has to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Beat {
    /// Nothing yet.
    Wait,
    /// Send a ping now and remember the time.
    Ping,
    /// Close with [`CloseCode::HeartbeatTimeout`].
    Dead,
}

/// Judges one connection by the seconds at which it was last heard and last pinged.
///
/// Times "in the future" count as now, so a reader that is a tick ahead of the sweeper does no harm.
pub const fn beat(rules: &Rules, now_s: u32, heard_s: u32, pinged_s: u32) -> Beat {
    if now_s.saturating_sub(heard_s) >= rules.dead_after_s {
        Beat::Dead
    } else if now_s.saturating_sub(pinged_s) >= rules.ping_every_s {
        Beat::Ping
    } else {
        Beat::Wait
    }
}

/// The state of one connection: 16 bytes beside its [`Decoder`](super::wire::Decoder).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerSession {
    /// Thousandths of a message that may still be sent.
    milli_tokens: u32,
    /// When the tokens were counted, in milliseconds, wrapping.
    counted_ms: u32,
    /// When the last frame of any kind arrived, in seconds.
    heard_s: u32,
    /// How long ago the last ping was sent: seconds, wrapping at 16 bits.
    pinged_s: u16,
    refused: u16,
}

impl ServerSession {
    /// A connection that has just been accepted.
    pub const fn new(rules: &Rules, now_ms: u64) -> Self {
        let now_s = seconds(now_ms);
        Self {
            milli_tokens: rules.burst.saturating_mul(1000),
            counted_ms: now_ms as u32,
            heard_s: now_s,
            pinged_s: now_s as u16,
            refused: 0,
        }
    }

    /// Notes that bytes arrived, whatever they hold. [`admit`](Self::admit) does it too.
    pub const fn handle_bytes(&mut self, now_ms: u64) {
        self.heard_s = seconds(now_ms);
    }

    /// Charges one message (text, binary, ping or pong).
    pub fn admit(&mut self, rules: &Rules, now_ms: u64) -> Admission {
        self.handle_bytes(now_ms);
        let elapsed = (now_ms as u32).wrapping_sub(self.counted_ms);
        self.counted_ms = now_ms as u32;
        // rate messages/s = rate milli-messages/ms
        let earned = elapsed.saturating_mul(rules.rate);
        let full = rules.burst.saturating_mul(1000);
        self.milli_tokens = self.milli_tokens.saturating_add(earned).min(full);
        if let Some(left) = self.milli_tokens.checked_sub(1000) {
            self.milli_tokens = left;
            self.refused = 0;
            return Admission::Accept;
        }
        self.refused = self.refused.saturating_add(1);
        if self.refused >= rules.max_refused {
            Admission::Close
        } else {
            Admission::Limited
        }
    }

    /// When a frame last arrived, in seconds.
    pub const fn heard_s(&self) -> u32 {
        self.heard_s
    }

    /// Asks what the heartbeat demands; on [`Beat::Ping`] the ping counts as sent.
    pub fn beat(&mut self, rules: &Rules, now_ms: u64) -> Beat {
        let now_s = seconds(now_ms);
        let since_ping = u32::from((now_s as u16).wrapping_sub(self.pinged_s));
        let beat = beat(rules, now_s, self.heard_s, now_s.saturating_sub(since_ping));
        if beat == Beat::Ping {
            self.pinged_s = now_s as u16;
        }
        beat
    }
}

const fn seconds(ms: u64) -> u32 {
    (ms / 1000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules {
        rate: 50,
        burst: 100,
        max_refused: 5,
        ping_every_s: 30,
        dead_after_s: 40,
    };

    fn admitted(session: &mut ServerSession, now_ms: u64, tries: u32) -> u32 {
        (0..tries)
            .map(|_| u32::from(session.admit(&RULES, now_ms) == Admission::Accept))
            .sum()
    }

    #[test]
    fn an_idle_session_is_tiny() {
        assert_eq!(size_of::<ServerSession>(), 16);
        assert!(size_of::<ServerSession>() + size_of::<crate::session::wire::Decoder>() <= 64);
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut session = ServerSession::new(&RULES, 0);
        assert_eq!(admitted(&mut session, 0, 103), 100);
        assert_eq!(admitted(&mut session, 100, 7), 5);
        assert_eq!(admitted(&mut session, 60_000, 101), 100);
    }

    #[test]
    fn a_flood_is_first_refused_and_then_closed() {
        let mut session = ServerSession::new(&RULES, 0);
        assert_eq!(admitted(&mut session, 0, 100), 100);
        let verdicts: Vec<_> = (0..5).map(|_| session.admit(&RULES, 0)).collect();
        assert_eq!(verdicts[..4], [Admission::Limited; 4]);
        assert_eq!(verdicts[4], Admission::Close);
    }

    #[test]
    fn slowing_down_forgives() {
        let mut session = ServerSession::new(&RULES, 0);
        assert_eq!(admitted(&mut session, 0, 104), 100);
        assert_eq!(session.admit(&RULES, 1000), Admission::Accept);
        assert_eq!(admitted(&mut session, 1000, 52), 49);
        assert_eq!(session.admit(&RULES, 1000), Admission::Limited);
    }

    #[test]
    fn a_silent_peer_is_pinged_at_30_and_dead_at_40_seconds() {
        let mut session = ServerSession::new(&RULES, 0);
        let beats: Vec<_> = (0..=40u64)
            .map(|s| session.beat(&RULES, s * 1000))
            .collect();
        let pings: Vec<_> = (0..40).filter(|&s| beats[s] == Beat::Ping).collect();
        assert_eq!(pings, [30]);
        assert_eq!(beats[40], Beat::Dead);
    }

    #[test]
    fn a_peer_that_answers_pings_lives_for_days() {
        let mut session = ServerSession::new(&RULES, 0);
        let mut pings = 0;
        for s in 1..=200_000u64 {
            match session.beat(&RULES, s * 1000) {
                Beat::Ping => {
                    pings += 1;
                    session.handle_bytes(s * 1000 + 50);
                }
                Beat::Wait => {}
                Beat::Dead => panic!("dead at {s}"),
            }
        }
        assert_eq!(pings, 200_000 / 30);
    }

    #[test]
    fn codes_survive_the_wire() {
        for code in [
            CloseCode::GoingAway,
            CloseCode::TooBig,
            CloseCode::Replaced,
            CloseCode::Policy,
        ] {
            assert_eq!(CloseCode::from_u16(code.get()), Some(code));
        }
        assert_eq!(CloseCode::from_u16(1006), None);
    }

    proptest! {
        #[test]
        fn no_schedule_admits_more_than_burst_plus_rate(
            steps in prop::collection::vec((0u64..2000, 1u32..60), 1..60),
        ) {
            let mut session = ServerSession::new(&RULES, 0);
            let (mut now, mut passed) = (0u64, 0u64);
            for (wait, tries) in steps {
                now += wait;
                passed += u64::from(admitted(&mut session, now, tries));
            }
            prop_assert!(passed <= 100 + now * 50 / 1000);
        }
    }
}
