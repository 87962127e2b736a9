//! What a worker knows: its machines, and what it looked up for them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::fanout::PresenceMap;
use gochat_core::ids::{MessageId, UserId};
use gochat_core::message::DraftLimits;
use gochat_core::step::Effects;
use gochat_infra::ids::{IdSource, now_ms};
use gochat_infra::port::mq::{Batch, Mq, MqResult, OutRecord};
use gochat_infra::topics;
use gochat_proto::common::v1::User;
use gochat_proto::im::repo::v1::OnlineStatus;
use hashbrown::{HashMap, HashSet};
use tokio::time::Instant;

use super::batch::{Decoded, Looked, Writer};
use super::encode::Encoder;
use super::gateways::Gateways;
use super::lookup::{Answers, Lookup, Question};
use super::outage::{Outage, Verdict};
use super::people::People;
use super::recovery::Owned;
use super::stats::Stats;
use super::{PipelineConfig, PipelinePorts};

/// After a failed lookup of users or presence, how long none is tried: a call that times out
/// must not hold up every batch.
const LOOKUP_PAUSE: Duration = Duration::from_millis(500);

/// After old facts could not be loaded again, how long it isn't tried.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);

/// State of a worker, without its consumer.
pub(super) struct Context {
    pub(super) config: PipelineConfig,
    drafts: DraftLimits,
    mq: Arc<dyn Mq>,
    ids: Arc<dyn IdSource>,
    lookup: Lookup,
    owned: HashMap<u32, Owned>,
    gateways: Gateways,
    people: People,
    presence: PresenceMap,
    /// Authors of this batch that don't exist.
    missing: HashSet<UserId>,
    encoder: Encoder,
    effects: Effects,
    outage: Outage,
    lookups_next_try: Instant,
    /// After old facts could not be loaded again: they are used on for a while before anybody waits for that again.
    refresh_next_try: Instant,
    shown: ShownMemory,
}

/// What this worker has added to the gauge of the process.
#[derive(Default)]
struct ShownMemory(f64);

impl ShownMemory {
    /// Other workers of the process add to the same gauge: only the difference is added.
    fn show(&mut self, bytes: usize) {
        let bytes = bytes as f64;
        let gauge = metrics::gauge!("gochat_memory_bytes", "part" => "windows");
        gauge.increment(bytes - self.0);
        self.0 = bytes;
    }
}

impl Drop for ShownMemory {
    fn drop(&mut self) {
        self.show(0);
    }
}

impl Context {
    pub(super) fn new(config: &PipelineConfig, ports: &PipelinePorts) -> Self {
        let now = Instant::now();
        Self {
            config: config.clone(),
            drafts: config.draft_limits(),
            mq: Arc::clone(&ports.mq),
            ids: Arc::clone(&ports.ids),
            lookup: Lookup::new(&ports.repo, config.rpc_timeout(), config.recall_window_ms),
            owned: HashMap::new(),
            gateways: Gateways::default(),
            people: People::new(config.people, config.people_ttl()),
            presence: PresenceMap::default(),
            missing: HashSet::new(),
            encoder: Encoder::default(),
            effects: Effects::default(),
            outage: Outage::new(config.facts_grace(), now),
            lookups_next_try: now,
            refresh_next_try: now,
            shown: ShownMemory::default(),
        }
    }

    /// Takes a changed `direct_max`. Machines that decided by the old one hold members of other groups than they need
    /// now, so all are built anew, as by a new owner.
    pub(super) fn follow_settings(&mut self) {
        let now = self.config.direct_max_live.get();
        if let Some(direct_max) = now.filter(|now| *now != self.config.direct_max) {
            tracing::info!(
                old = self.config.direct_max,
                new = direct_max,
                "direct_max changed"
            );
            self.config.direct_max = direct_max;
            self.disown_all();
        }
    }

    /// Makes sure there is a machine for the partition.
    pub(super) async fn own(&mut self, partition: u32) -> Result<()> {
        if !self.owned.contains_key(&partition) {
            let owned = Owned::take_over(&*self.mq, partition, self.config.limits()).await?;
            self.owned.insert(partition, owned);
        }
        Ok(())
    }

    /// Forgets a partition: it went to another owner, or the log knows better what happened.
    pub(super) fn disown(&mut self, partition: u32) {
        self.owned.remove(&partition);
    }

    /// Forgets all partitions.
    pub(super) fn disown_all(&mut self) {
        self.owned.clear();
    }

    /// Nothing of the batch was written.
    pub(super) fn aborted(&mut self, partition: u32) {
        if let Some(owned) = self.owned.get_mut(&partition) {
            owned.machine.aborted();
        }
    }

    /// The step stands.
    pub(super) fn committed(&mut self, partition: u32) {
        if let Some(owned) = self.owned.get_mut(&partition) {
            owned.mark = owned.machine.committed();
        }
    }

    /// Reads the records of a poll.
    pub(super) fn decode<'a>(
        &mut self,
        batches: &[&'a Batch],
        came_at: SystemTime,
    ) -> MqResult<Vec<Decoded<'a>>> {
        let partitions = self.mq.partitions(topics::UPSTREAM)?;
        let gateways = &mut self.gateways;
        gateways.begin();
        let drafts = &self.drafts;
        let decode = |batch: &&'a Batch| Decoded::new(batch, partitions, drafts, gateways, came_at);
        Ok(batches.iter().map(decode).collect())
    }

    /// Hands the batches to their machines and fetches what they need, in two rounds of calls.
    ///
    /// # Errors
    /// Those of the facts, while they were not away for long.
    pub(super) async fn look_up(&mut self, decoded: &mut [Decoded<'_>]) -> Result<()> {
        let now = Instant::now();
        let authors = self.unknown_authors(decoded, now);
        let (needs, owners) = self.begin(decoded, now);
        let lists = |part: &Decoded<'_>| part.world || self.sends_to_groups(part);
        let needs_gateways = decoded.iter().any(lists);
        let ask_facts = !needs.is_empty() && self.outage.may_ask(now);
        let ask_users = !authors.is_empty() && now >= self.lookups_next_try;
        let ask_gateways = needs_gateways && self.gateways.is_stale(now);

        let lookup = &self.lookup;
        let (facts, users, gateways) = tokio::join!(
            when(
                ask_facts,
                lookup.facts(&needs, self.config.direct_max, now_ms())
            ),
            when(ask_users, lookup.users(&authors)),
            when(ask_gateways, lookup.gateways()),
        );
        self.take_users(authors, users, now);
        self.take_gateways(gateways, now);
        if let Some(Answers { loaded, failure }) = facts {
            // Windows and facts that came are kept also when the rest holds the batch up: the next try
            // asks for less.
            for ((asked, partition), loaded) in needs.iter().zip(owners).zip(loaded) {
                if let (Some(owned), Some(loaded)) = (self.owned.get_mut(&partition), loaded) {
                    owned.machine.provide(asked.need.conversation, loaded);
                }
            }
            // A failure may have taken as long as its deadline, so pauses count from now.
            self.judge_facts(&needs, failure, Instant::now())?;
        }
        self.look_presence_up(decoded, now).await;
        Ok(())
    }

    fn unknown_authors(&mut self, decoded: &[Decoded<'_>], now: Instant) -> Vec<UserId> {
        let mut authors: Vec<UserId> = decoded.iter().flat_map(Decoded::authors).collect();
        authors.sort_unstable();
        authors.dedup();
        authors.retain(|author| !self.people.is_fresh(*author, now));
        authors
    }

    /// Needs of all machines, and the partition of each.
    fn begin<'a>(
        &mut self,
        decoded: &mut [Decoded<'a>],
        now: Instant,
    ) -> (Vec<Question<'a>>, Vec<u32>) {
        let (mut needs, mut owners) = (Vec::new(), Vec::new());
        let (may_refresh, wall) = (now >= self.refresh_next_try, now_ms());
        for part in decoded {
            let partition = part.batch.tp.partition;
            if let Some(owned) = self.owned.get_mut(&partition) {
                owned.machine.tick(wall);
                owned.machine.begin(part.records.drain(..));
                let wanted = owned.machine.needs().into_iter();
                let wanted = wanted.filter(|need| may_refresh || !need.refresh);
                needs.extend(wanted.map(|need| {
                    Question {
                        resends: need
                            .resends
                            .iter()
                            .filter_map(|at| part.resend(*at))
                            .collect(),
                        need,
                    }
                }));
                owners.resize(needs.len(), partition);
            }
        }
        (needs, owners)
    }

    /// What a failed look-up means for the batch.
    ///
    /// # Errors
    /// The failure, when the batch has to wait.
    fn judge_facts(
        &mut self,
        needs: &[Question<'_>],
        failure: Option<Error>,
        now: Instant,
    ) -> Result<()> {
        let Some(error) = failure else {
            self.outage.succeeded();
            return Ok(());
        };
        self.refresh_next_try = now + REFRESH_PAUSE;
        if needs.iter().all(|asked| asked.need.refresh) {
            tracing::warn!(%error, "facts can't be loaded again: the old ones are used");
            return Ok(());
        }
        match self.outage.failed(now) {
            Verdict::Hold => Err(error),
            Verdict::Degrade => {
                tracing::warn!(%error, "facts are away: messages of unknown conversations are refused");
                Ok(())
            }
        }
    }

    fn take_users(&mut self, asked: Vec<UserId>, answer: Option<Result<Vec<User>>>, now: Instant) {
        self.missing.clear();
        match answer {
            None => {}
            Some(Ok(users)) => {
                self.missing.extend(asked);
                for user in users {
                    let Ok(id) = user.id.parse() else { continue };
                    self.missing.remove(&id);
                    self.people.insert(id, user, now);
                }
                self.missing
                    .iter()
                    .for_each(|gone| self.people.remove(*gone));
            }
            Some(Err(error)) => {
                self.lookups_next_try = now + LOOKUP_PAUSE;
                tracing::warn!(%error, "authors can't be looked up: messages go on without names");
            }
        }
    }

    fn take_gateways(&mut self, answer: Option<Result<Vec<String>>>, now: Instant) {
        match answer {
            None => {}
            Some(Ok(names)) => self.gateways.list(&names, now),
            Some(Err(error)) => {
                tracing::warn!(%error, "gateways can't be listed: the last list is used");
            }
        }
    }

    fn sends_to_groups(&self, part: &Decoded<'_>) -> bool {
        let owned = self.owned.get(&part.batch.tp.partition);
        owned.is_some_and(|owned| owned.machine.sends_to_groups())
    }

    /// Presence of everybody a plan depends on. When it can't be had, nothing is noted, and the
    /// plans reach out to every gateway.
    async fn look_presence_up(&mut self, decoded: &[Decoded<'_>], now: Instant) {
        self.presence.clear();
        let mut users = Vec::new();
        let live = self.gateways.live(now).gateways.len();
        for part in decoded {
            if let Some(owned) = self.owned.get(&part.batch.tp.partition) {
                owned.machine.recipients(live, &mut users);
            }
        }
        users.sort_unstable();
        users.dedup();
        if users.is_empty() {
            return;
        }
        let answer = match now >= self.lookups_next_try {
            true => self.lookup.presence(&users).await,
            false => Err(Error::from(ErrorCode::ServiceUnavailable)),
        };
        match answer {
            Ok(statuses) => self.take_presence(&users, &statuses),
            Err(error) => {
                self.lookups_next_try = self.lookups_next_try.max(now + LOOKUP_PAUSE);
                metrics::counter!("gochat_logic_presence_unknown_total").increment(1);
                tracing::debug!(%error, "presence is unknown: pushes go to every gateway");
                let gateways = when(self.gateways.is_stale(now), self.lookup.gateways()).await;
                self.take_gateways(gateways, now);
            }
        }
    }

    fn take_presence(&mut self, users: &[UserId], statuses: &[OnlineStatus]) {
        let gateways = &mut self.gateways;
        for (user, status) in users.iter().zip(statuses) {
            let on = if status.is_online {
                &status.gateway_ids[..]
            } else {
                &[]
            };
            self.presence
                .insert(*user, on.iter().map(|name| gateways.intern(name)));
        }
    }

    /// Numbers the messages and makes the records of the step.
    ///
    /// # Errors
    /// Those of the ids.
    pub(super) fn decide(
        &mut self,
        decoded: &mut [Decoded<'_>],
        stats: &mut Stats,
    ) -> Result<Vec<OutRecord>> {
        let (now, instant) = (now_ms(), Instant::now());
        let records: usize = decoded.iter().map(|part| part.batch.records.len()).sum();
        let mut outputs = Vec::with_capacity(2 * records);
        for part in decoded {
            let Some(owned) = self.owned.get_mut(&part.batch.tp.partition) else {
                continue;
            };
            let (presence, people, missing) = (&self.presence, &self.people, &self.missing);
            let view = Looked {
                presence,
                people,
                missing,
            };
            let ids = || {
                let id = MessageId::new(self.ids.next_id()?);
                id.ok_or_else(|| Error::from(ErrorCode::Internal))
            };
            owned.machine.decide(
                now,
                &view,
                self.gateways.live(instant),
                ids,
                &mut self.effects,
            )?;
            let mut writer = Writer {
                encoder: &mut self.encoder,
                gateways: &mut self.gateways,
                people,
                mq: &*self.mq,
                stats,
                now_secs: now / 1000,
            };
            writer.write(part, &self.effects, &mut outputs);
        }
        Ok(outputs)
    }

    /// Lets machines that are half full learn what the database holds, so that they can forget it.
    pub(super) async fn sweep(&mut self) {
        let (conversations, memory) = (self.config.conversations / 2, self.config.memory_bytes / 2);
        for owned in self.owned.values_mut() {
            let machine = &owned.machine;
            if machine.conversations() < conversations && machine.memory() < memory {
                continue;
            }
            if let Err(error) = owned.learn_saved(&*self.mq).await {
                tracing::debug!(%error, "can't learn how far the database is");
            }
        }
        let machines = self.owned.values().map(|owned| owned.machine.memory());
        self.shown.show(machines.sum());
    }
}

async fn when<T>(wanted: bool, call: impl Future<Output = T>) -> Option<T> {
    if wanted { Some(call.await) } else { None }
}
