//! A world of its own on a runtime whose time is virtual, and what a command works with in it.

use camino::Utf8Path;
use camino::Utf8PathBuf;
use tubectl::apply::cancel::Cancel;
use tubectl::clients::Clients;
use tubectl::commands::connect::Pace;
use tubectl::commands::context::Context;
use tubectl::commands::context::Home;
use tubectl::commands::context::WorldName;
use tubectl::commands::rehearse;
use tubectl::event::Events;
use tubectl::stack::load;
use tubectl::stack::load::Files;
use tubectl::stack::load::Settings;
use tubectl::state::store::Store;
use tubectl_clock::Clock;
use tubectl_world::connect::World;

/// The seed of all chance: a figure must come again.
const SEED: u64 = 7;

/// The commands run on a thread with as much stack as the main one has.
const STACK: usize = 8 << 20;

/// A stack by its name, or by its folder within the project.
pub(crate) fn find(stack: &str) -> Files {
    let project = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let project = project.expect("this crate lies within the project");
    load::find(Some(stack), project).expect("the stacks of the benchmarks can be read")
}

/// Plays a script in an empty world.
pub(crate) fn play<T: Send>(files: &Files, script: impl AsyncFnOnce(&World, &Context) -> T + Send) -> T {
    let charts = tempfile::tempdir().expect("there is room for charts");
    let cache = Utf8PathBuf::try_from(charts.path().to_owned()).expect("temporary folders have plain names");
    let on_stage = || {
        fastrand::seed(SEED);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without input and output needs nothing that could be missing");
        runtime.block_on(async {
            let clock = Clock::starting_at(rehearse::begins());
            let world = World::new(rehearse::core(SEED), clock, rehearse::programs());
            let context = context(&world, files, cache);
            tokio::select! {
                biased;
                result = script(&world, &context) => result,
                () = world.run() => unreachable!("a world runs until it is dropped"),
            }
        })
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, on_stage).expect("a thread can be started");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn context(world: &World, files: &Files, cache: Utf8PathBuf) -> Context {
    let region = load::region(files, &Settings::default()).expect("the stacks of the benchmarks name their region");
    let (events, _unheard) = Events::channel(world.clock());
    Context {
        world: WorldName::Local,
        clients: Clients::local(world.connector(), &region, world.clock()),
        clock: world.clock(),
        events,
        cancel: Cancel::default(),
        pace: Pace::default(),
        fence: None,
        home: Home::Memory {
            journal: Store::memory(),
            cache,
        },
    }
}
