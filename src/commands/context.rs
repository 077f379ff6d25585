//! What every command works with: clients, time, a place to write, a way to stop.

use camino::Utf8PathBuf;
use tubectl_clock::Clock;

use crate::apply::cancel::Cancel;
use crate::clients::Clients;
use crate::commands::connect::Pace;
use crate::event::Events;
use crate::state::lock::Fence;
use crate::state::store::Store;

/// What a command works with.
#[derive(Clone)]
pub struct Context {
    /// Where a command acts.
    pub world: WorldName,
    /// Clients of it.
    pub clients: Clients,
    /// Time in it.
    pub clock: Clock,
    /// Who hears what happens.
    pub events: Events,
    /// Whether to stop.
    pub cancel: Cancel,
    /// Where tubectl keeps things.
    pub home: Home,
    /// How fast time is to pass while something is changed.
    pub pace: Pace,
    /// The lease under which something is changed; none where nobody else can come, or nothing is changed.
    pub fence: Option<Fence>,
}

/// Where a command acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorldName {
    /// The embedded world.
    Local,
    /// A real account.
    Aws,
}

impl WorldName {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Aws => "aws",
        }
    }
}

/// Where tubectl keeps things.
#[derive(Clone, Debug)]
pub enum Home {
    /// In a folder.
    Folder(Utf8PathBuf),
    /// In memory: a run that leaves nothing behind. The journal is shared by the commands of that run.
    Memory {
        /// The journal.
        journal: Store,
        /// Where charts are kept; the only thing on disk.
        cache: Utf8PathBuf,
    },
}

impl Home {
    /// Where a stack's journal is.
    pub fn journal(&self, world: WorldName, account: &str, region: &str, stack: &str) -> Store {
        match self {
            Self::Folder(_) => Store::File(self.stack_folder(world, account, region, stack).join("journal.jsonl")),
            Self::Memory { journal, .. } => journal.clone(),
        }
    }

    /// Where a stack's lease is; none where no other process can come.
    pub fn lease(&self, world: WorldName, account: &str, region: &str, stack: &str) -> Option<Utf8PathBuf> {
        match self {
            Self::Folder(_) => Some(self.stack_folder(world, account, region, stack).join("lease.json")),
            Self::Memory { .. } => None,
        }
    }

    /// Where charts are kept. The local world's stand-ins have the names of real charts, and so a place of their own.
    pub fn charts(&self, world: WorldName) -> Utf8PathBuf {
        let folder = match self {
            Self::Folder(folder) => folder.join("cache"),
            Self::Memory { cache, .. } => cache.clone(),
        };
        folder.join(match world {
            WorldName::Local => "stand-ins",
            WorldName::Aws => "charts",
        })
    }

    fn stack_folder(&self, world: WorldName, account: &str, region: &str, stack: &str) -> Utf8PathBuf {
        match self {
            Self::Folder(folder) => folder
                .join("stacks")
                .join(format!("{}-{account}-{region}-{stack}", world.name())),
            Self::Memory { cache, .. } => cache.join(stack),
        }
    }
}
