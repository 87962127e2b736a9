//! The Lua scripts: run by hash, loaded with every connection.

use std::sync::LazyLock;

use redis::{Cmd, Script};

/// A script that is known to every connection.
pub(super) struct Known {
    script: LazyLock<Script>,
    code: &'static str,
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $file:literal;)*) => {
        $($(#[$doc])* pub(super) static $name: Known = Known {
            script: LazyLock::new(|| Script::new(include_str!($file))),
            code: include_str!($file),
        };)*

        /// All of them.
        const ALL: &[&Known] = &[$(&$name,)*];
    };
}

scripts! {
    /// Reads keys and hands out fill tokens for those that are missing.
    CACHE_GET = "lua/cache_get.lua";
    /// Stores a value if its token is still good.
    CACHE_FILL = "lua/cache_fill.lua";
    /// Writes the sessions of users if nobody else did since they were read.
    PRESENCE_WRITE = "lua/presence_write.lua";
    /// Reads the log of arrivals.
    ARRIVALS = "lua/arrivals.lua";
    /// Notes signs of life.
    PRESENCE_BEAT = "lua/presence_beat.lua";
    /// Takes a token from a bucket.
    TAKE_TOKEN = "lua/take_token.lua";
    /// Counts a failed password.
    GUESS = "lua/guess.lua";
    /// Takes a failed password back.
    FORGIVE = "lua/forgive.lua";
    /// Deletes a key that still has a certain value.
    DELETE_IF = "lua/delete_if.lua";
    /// Takes numbers from a counter.
    TAKE_NUMBERS = "lua/take_numbers.lua";
}

impl Known {
    /// A call of this script with `keys`; the caller adds the other arguments.
    pub(super) fn call<K: AsRef<[u8]>>(&self, keys: &[K]) -> Cmd {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(self.script.get_hash()).arg(keys.len());
        for key in keys {
            cmd.arg(key.as_ref());
        }
        cmd
    }
}

/// Commands that make all scripts known to the server.
pub(super) fn load_all() -> impl Iterator<Item = Cmd> {
    ALL.iter().map(|known| {
        let mut cmd = redis::cmd("SCRIPT");
        cmd.arg("LOAD").arg(known.code);
        cmd
    })
}
