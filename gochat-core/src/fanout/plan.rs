//! Choosing a way, and grouping recipients by gateway.

use std::ops::Range;

use super::{GatewayIx, Presence};
use crate::audience::Audience;
use crate::ids::{ConversationKind, UserId};

/// How a conversation's messages reach its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// The presence of each member is looked up, and each gateway gets the list of those it holds.
    Direct,
    /// Every live gateway gets the list of members and serves those that are connected there.
    Members,
    /// A task pages the members.
    Deferred,
    /// Every gateway gets the message.
    Broadcast,
}

/// Maximum cost of the fan-out of one message to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Largest group whose members the owner of the conversation holds; the members of larger
    /// groups are paged.
    pub members: usize,
    /// Largest group whose members are looked up in presence for a message.
    pub lookups: usize,
    /// Members per live gateway from which lists of members are cheaper than looking the members
    /// up: what one record for one gateway costs, counted in look-ups.
    pub members_from: usize,
    /// Most member ids written for a message: members × live gateways.
    pub ids: usize,
}

impl Default for Budget {
    /// 10,000 members, 500 look-ups, lists from 16 members per gateway on, 200,000 ids: 1.6 MB.
    fn default() -> Self {
        Self {
            members: 10_000,
            lookups: 500,
            members_from: 16,
            ids: 200_000,
        }
    }
}

impl Strategy {
    /// The way for a conversation of this kind and size, while this many gateways live.
    ///
    /// ```
    /// use gochat_core::fanout::{Budget, Strategy};
    /// use gochat_core::ids::ConversationKind::{Group, World};
    /// let budget = Budget::default();
    /// assert_eq!(Strategy::of(Group, 15, 1, &budget), Strategy::Direct);
    /// assert_eq!(Strategy::of(Group, 16, 1, &budget), Strategy::Members);
    /// assert_eq!(Strategy::of(Group, 16, 2, &budget), Strategy::Direct);
    /// assert_eq!(Strategy::of(Group, 16, 0, &budget), Strategy::Direct);
    /// assert_eq!(Strategy::of(Group, 501, 0, &budget), Strategy::Deferred);
    /// assert_eq!(Strategy::of(Group, 10_000, 20, &budget), Strategy::Members);
    /// assert_eq!(Strategy::of(Group, 10_000, 21, &budget), Strategy::Deferred);
    /// assert_eq!(Strategy::of(Group, 10_001, 1, &budget), Strategy::Deferred);
    /// assert_eq!(Strategy::of(World, 2, 1, &budget), Strategy::Broadcast);
    /// ```
    pub const fn of(
        kind: ConversationKind,
        members: usize,
        gateways: usize,
        budget: &Budget,
    ) -> Self {
        match kind {
            ConversationKind::Single => Self::Direct,
            ConversationKind::World => Self::Broadcast,
            ConversationKind::Group if members > budget.members => Self::Deferred,
            ConversationKind::Group if budget.prefers_lists(members, gateways) => Self::Members,
            ConversationKind::Group if members <= budget.lookups => Self::Direct,
            ConversationKind::Group => Self::Deferred,
        }
    }
}

impl Budget {
    /// Lists for no gateway would reach nobody: the list of gateways may be a second old, and the
    /// first session may have come within it.
    const fn prefers_lists(&self, members: usize, gateways: usize) -> bool {
        if gateways == 0 {
            return false;
        }
        // Above the look-ups' bound the lists are compared with paging, which costs more.
        let is_cheaper = members >= self.members_from.saturating_mul(gateways);
        (is_cheaper || members > self.lookups) && members.saturating_mul(gateways) <= self.ids
    }
}

/// One downstream record: a gateway and its targets, a range of [`Plan::users`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which gateway.
    pub gateway: GatewayIx,
    /// Which users there.
    pub targets: Range<usize>,
}

/// Deliveries of one message, and who must be looked up again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// One per gateway with targets, in order of first mention.
    pub deliveries: Vec<Delivery>,
    /// Members without a session, to be looked up again once the message is in history.
    pub recheck: Range<usize>,
    /// Members with a session; they may have got another one until then.
    pub reached: Range<usize>,
    /// Presence of somebody wasn't known: everybody is in `recheck`, and nobody in `reached`.
    pub unknown: bool,
    /// Backing of all ranges.
    pub users: Vec<UserId>,
}

/// The part of a plan that is looked at again once the message is in history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Later {
    pub(crate) recheck: Range<usize>,
    pub(crate) reached: Range<usize>,
    pub(crate) unknown: bool,
}

impl Plan {
    /// The targets of one delivery.
    pub fn targets(&self, delivery: &Delivery) -> &[UserId] {
        &self.users[delivery.targets.clone()]
    }

    /// Members without a session.
    pub fn offline(&self) -> &[UserId] {
        &self.users[self.recheck.clone()]
    }
}

/// Makes direct plans; keeps its buffers from one to the next.
///
/// ```
/// use gochat_core::audience::Roster;
/// use gochat_core::fanout::{GatewayTable, Planner, PresenceMap};
/// use gochat_core::ids::UserId;
/// let (a, b) = (UserId::new(1).unwrap(), UserId::new(2).unwrap());
/// let mut gateways = GatewayTable::default();
/// let one = gateways.intern("gateway-1");
/// let mut presence = PresenceMap::default();
/// presence.insert(a, [one]);
/// presence.insert(b, []);
///
/// let audience = Roster::loaded([a, b]).everyone();
/// let plan = Planner::default().direct(&audience, &presence, &[one]);
/// assert_eq!(plan.targets(&plan.deliveries[0]), [a]);
/// assert_eq!(plan.offline(), [b]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Planner {
    /// Targets by gateway number; buffers outlive a plan.
    buckets: Vec<Vec<UserId>>,
    /// Gateways with a non-empty bucket.
    used: Vec<GatewayIx>,
    offline: Vec<UserId>,
    online: Vec<UserId>,
}

impl Planner {
    /// Groups an audience by the gateways that hold its sessions.
    ///
    /// When presence of any of them is unknown, everybody goes to every one of the `live`
    /// gateways *and* is looked up again later: more work, at-least-once instead of exactly-once,
    /// but nobody is forgotten and clients drop repeats.
    pub fn direct(
        &mut self,
        audience: &Audience,
        presence: &impl Presence,
        live: &[GatewayIx],
    ) -> Plan {
        let mut plan = Plan::default();
        let later = self.append(
            audience.users(),
            presence,
            live,
            &mut plan.users,
            &mut plan.deliveries,
        );
        Plan {
            recheck: later.recheck,
            reached: later.reached,
            unknown: later.unknown,
            ..plan
        }
    }

    /// Like [`direct`](Self::direct), appending to buffers that several plans share.
    pub(crate) fn append(
        &mut self,
        members: &[UserId],
        presence: &impl Presence,
        live: &[GatewayIx],
        users: &mut Vec<UserId>,
        deliveries: &mut Vec<Delivery>,
    ) -> Later {
        if self.group(members, presence) {
            for gateway in self.used.drain(..) {
                let bucket = &mut self.buckets[gateway.index()];
                let targets = extend(users, bucket);
                bucket.clear();
                deliveries.push(Delivery { gateway, targets });
            }
            let recheck = extend(users, &self.offline);
            let reached = extend(users, &self.online);
            self.offline.clear();
            self.online.clear();
            Later {
                recheck,
                reached,
                unknown: false,
            }
        } else {
            self.reset();
            let all = extend(users, members);
            let to = |gateway: &GatewayIx| Delivery {
                gateway: *gateway,
                targets: all.clone(),
            };
            deliveries.extend(live.iter().map(to));
            Later {
                reached: all.end..all.end,
                recheck: all,
                unknown: true,
            }
        }
    }

    /// Fills the buckets; false when somebody's presence is unknown.
    fn group(&mut self, members: &[UserId], presence: &impl Presence) -> bool {
        for user in members {
            let Some(gateways) = presence.gateways_of(*user) else {
                return false;
            };
            match gateways.is_empty() {
                true => self.offline.push(*user),
                false => self.online.push(*user),
            }
            for gateway in gateways {
                self.put(*user, *gateway);
            }
        }
        true
    }

    fn put(&mut self, user: UserId, gateway: GatewayIx) {
        let ix = gateway.index();
        if ix >= self.buckets.len() {
            self.buckets.resize_with(ix + 1, Vec::new);
        }
        let bucket = &mut self.buckets[ix];
        match bucket.last() {
            None => self.used.push(gateway),
            // A careless lookup may name a gateway twice.
            Some(last) if *last == user => return,
            Some(_) => {}
        }
        bucket.push(user);
    }

    fn reset(&mut self) {
        for gateway in self.used.drain(..) {
            self.buckets[gateway.index()].clear();
        }
        self.offline.clear();
        self.online.clear();
    }
}

fn extend(users: &mut Vec<UserId>, more: &[UserId]) -> Range<usize> {
    let start = users.len();
    users.extend_from_slice(more);
    start..users.len()
}
