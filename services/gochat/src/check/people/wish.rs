//! What the people around a group want: mostly what they may do, so that most commands are carried
//! out.

use gochat_core::ids::UserId;
use gochat_core::membership::Role;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};

use super::judge::{Command, Edit, What};
use crate::check::observe::Crew;

/// Two to four commands to be given at once; one of them at most dissolves the group.
pub(super) fn commands(
    cast: &[UserId],
    crew: &Crew,
    random: &mut StdRng,
    may_end: bool,
) -> Vec<Command> {
    let count = random.random_range(2..=4);
    let mut commands: Vec<Command> = (0..count)
        .filter_map(|n| command(cast, crew, random, n))
        .collect();
    if may_end
        && random.random_ratio(1, 40)
        && let Some(by) = crew.owner
    {
        let what = What::Dissolve;
        commands.push(Command { by, what });
    }
    commands
}

/// Something that one of the cast may want.
fn command(cast: &[UserId], crew: &Crew, random: &mut StdRng, n: usize) -> Option<Command> {
    let member = crew.members.keys().copied().choose(random)?;
    let anybody = *cast.choose(random)?;
    // A third of the commands come from anybody, who may do some of them.
    let by = match crew.owner.filter(|_| random.random_ratio(2, 3)) {
        Some(owner) => owner,
        None => anybody,
    };
    let stranger = cast.iter().filter(|user| !crew.members.contains_key(user));
    let stranger = stranger.copied().choose(random);
    let what = match (random.random_range(0..22), stranger) {
        (0..6, Some(stranger)) => What::Add(stranger),
        (6, _) => What::Add(member),
        (7..9, _) if crew.members.len() > 2 => What::Remove(member),
        (9..12, _) => {
            // Somebody leaves.
            let (by, what) = (member, What::Remove(member));
            return Some(Command { by, what });
        }
        (12..15, _) => What::SetRole(member, Role::Admin),
        (15, _) => What::SetRole(member, Role::Member),
        (16..18, _) => What::SetRole(member, Role::Owner),
        (18..20, _) => What::Mute(member, !crew.muted.contains(&member)),
        _ => What::Edit(crew.version, edit(crew, random, n)),
    };
    Some(Command { by, what })
}

/// Another name, another announcement or none, or everybody but admins muted or not.
fn edit(crew: &Crew, random: &mut StdRng, n: usize) -> Edit {
    let text = format!("{} by {n}", crew.version);
    match random.random_range(0..4) {
        0 => Edit::Announcement(text),
        1 => Edit::Announcement(String::new()),
        2 => Edit::MuteAll(!crew.mute_all),
        _ => Edit::Name(text),
    }
}
