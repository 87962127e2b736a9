//! Laws of fan-out planning.
#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should stop here"
)]

use std::collections::{BTreeMap, BTreeSet};

use gochat_core::audience::{Audience, Roster};
use gochat_core::fanout::{
    Budget, GatewayIx, GatewayTable, Plan, Planner, PresenceMap, Strategy as Way,
};
use gochat_core::ids::{ConversationKind, UserId};
use proptest::prelude::*;

fn gateways() -> Vec<GatewayIx> {
    let mut table = GatewayTable::default();
    (0..6)
        .map(|n| table.intern(&format!("gateway-{n}")))
        .collect()
}

/// How often the plan reaches each (user, gateway).
fn reached(plan: &Plan) -> BTreeMap<(UserId, GatewayIx), u32> {
    let mut reached = BTreeMap::new();
    for delivery in &plan.deliveries {
        for user in plan.targets(delivery) {
            *reached.entry((*user, delivery.gateway)).or_default() += 1;
        }
    }
    reached
}

proptest! {
    #[test]
    fn no_way_costs_more_than_its_budget_and_none_defers_what_fits(
        members in 1..50_000usize,
        gateways in 0..200usize,
        bound in 0..20_000usize,
        lookups in 0..2_000usize,
        members_from in 0..100usize,
        ids in 0..400_000usize,
    ) {
        let budget = Budget { members: bound, lookups, members_from, ids };
        match Way::of(ConversationKind::Group, members, gateways, &budget) {
            Way::Direct => prop_assert!(members <= lookups && members <= bound),
            // A list for no gateway would reach nobody.
            Way::Members => {
                prop_assert!(gateways > 0 && members <= bound);
                prop_assert!(members * gateways <= ids);
            }
            Way::Deferred => {
                let lists_fit = gateways > 0 && members * gateways <= ids;
                let fits = lists_fit || members <= lookups;
                prop_assert!(members > bound || !fits);
            }
            Way::Broadcast => prop_assert!(false, "groups are never broadcast"),
        }
    }

    #[test]
    fn a_group_that_grows_is_served_by_each_way_in_turn(
        gateways in 1..100usize,
        members in 1..20_000usize,
    ) {
        let budget = Budget::default();
        let rank = |members| match Way::of(ConversationKind::Group, members, gateways, &budget) {
            Way::Direct => 0,
            Way::Members => 1,
            _ => 2,
        };
        // Only a group that leaves the lists between 200,000 / gateways and 500 goes back.
        if budget.ids / gateways > budget.lookups {
            prop_assert!(rank(members) <= rank(members + 1));
        }
    }

    #[test]
    fn every_session_is_reached_exactly_once_and_everybody_else_is_looked_up_again(
        sessions in prop::collection::btree_map(0..500u64, prop::collection::vec(0..6usize, 0..4), 0..80),
        twice in any::<bool>(),
    ) {
        let gateways = gateways();
        let mut presence = PresenceMap::default();
        let mut expected = BTreeMap::new();
        let mut offline = BTreeSet::new();
        let mut members = Vec::new();
        for (user, on) in &sessions {
            let user = UserId::new(*user).unwrap();
            members.push(user);
            presence.insert(user, on.iter().map(|ix| gateways[*ix]));
            expected.extend(on.iter().map(|ix| ((user, gateways[*ix]), 1)));
            if on.is_empty() {
                offline.insert(user);
            }
        }
        let mut planner = Planner::default();
        let audience = Roster::loaded(members).everyone();
        if twice {
            planner.direct(&audience, &presence, &gateways);
        }
        let plan = planner.direct(&audience, &presence, &gateways);
        prop_assert_eq!(reached(&plan), expected);
        prop_assert_eq!(plan.offline().iter().copied().collect::<BTreeSet<_>>(), offline);
        let distinct: BTreeSet<_> = plan.deliveries.iter().map(|d| d.gateway).collect();
        prop_assert_eq!(distinct.len(), plan.deliveries.len(), "one record per gateway");
    }

    #[test]
    fn one_unknown_member_makes_the_plan_reach_every_live_gateway(known in 0..20u64) {
        let gateways = gateways();
        let mut presence = PresenceMap::default();
        let mut members: Vec<_> = (0..known).map(|n| UserId::new(n).unwrap()).collect();
        for user in &members {
            presence.insert(*user, [gateways[0]]);
        }
        members.push(UserId::new(1000).unwrap());
        let mut planner = Planner::default();
        let audience = Roster::loaded(members.iter().copied()).everyone();
        let plan = planner.direct(&audience, &presence, &gateways[1..4]);
        prop_assert_eq!(plan.deliveries.len(), 3);
        prop_assert!(plan.deliveries.iter().all(|d| plan.targets(d) == members));
        prop_assert_eq!(plan.offline(), members);

        presence.insert(UserId::new(1000).unwrap(), []);
        let last = Audience::own(UserId::new(1000).unwrap());
        let plan = planner.direct(&last, &presence, &gateways);
        prop_assert!(plan.deliveries.is_empty(), "nothing is left over from the plan before");
    }
}
