//! A world on a runtime whose time is virtual, and the commands as they are played in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use camino::Utf8Path;
use camino::Utf8PathBuf;
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tubectl::apply::cancel::Cancel;
use tubectl::apply::walk::Outcome;
use tubectl::clients::Clients;
use tubectl::commands::connect::Pace;
use tubectl::commands::context::Context;
use tubectl::commands::context::Home;
use tubectl::commands::context::WorldName;
use tubectl::commands::cue;
use tubectl::commands::demo;
use tubectl::commands::down;
use tubectl::commands::plan;
use tubectl::commands::rehearse;
use tubectl::commands::session::Look;
use tubectl::commands::session::Session;
use tubectl::commands::up;
use tubectl::error::Failure;
use tubectl::event::Event;
use tubectl::event::EventKind;
use tubectl::event::Events;
use tubectl::show;
use tubectl::show::director;
use tubectl::show::director::Fired;
use tubectl::show::director::Winners;
use tubectl::stack::Stack;
use tubectl::stack::load;
use tubectl::stack::load::Files;
use tubectl::stack::load::Settings;
use tubectl::state::store::Store;
use tubectl::teardown::Options;
use tubectl::teardown::Report;
use tubectl::ui::json;
use tubectl_clock::Clock;
use tubectl_world::Core;
use tubectl_world::connect::World;

use crate::watch::Fate;
use crate::watch::Instant;
use crate::watch::Watch;

/// The seed of all chance in the laws: they hold for any, and a failure must come again.
const SEED: u64 = 7;

/// The commands run on the main thread, which has this much; the futures of a debug build need more than a test's two.
const STACK: usize = 8 << 20;

/// A world and a journal as they are at one instant: all that a killed client leaves.
#[derive(Clone)]
pub(crate) struct Moment {
    /// The world.
    pub(crate) core: Core,
    /// The journal's text.
    pub(crate) journal: String,
    /// The point in time.
    pub(crate) at: Timestamp,
}

impl Moment {
    /// An empty account, and nothing done before.
    pub(crate) fn beginning() -> Self {
        Self {
            core: rehearse::core(SEED),
            journal: String::new(),
            at: rehearse::begins(),
        }
    }
}

/// The stack of one of each kind.
pub(crate) fn each() -> Files {
    find("./tests/laws/stacks/each")
}

/// The same in another region.
pub(crate) fn each_in(region: &str) -> Files {
    edited(&[("eu-west-1", region)])
}

/// The same with other words in its file.
pub(crate) fn edited(words: &[(&str, &str)]) -> Files {
    let mut text = each_text();
    for (from, to) in words {
        assert!(text.contains(from), "`{from}` is not in the stack");
        text = text.replace(from, to);
    }
    Files::of(("stack.yaml", text.as_bytes()), None)
}

/// The same with nothing whose name is the whole world's.
pub(crate) fn each_without_buckets_in(region: &str) -> Files {
    let text = each_text().replace("eu-west-1", region);
    let (blocks, _) = text.split_once("workloads:").expect("the stack has workloads");
    let without: Vec<&str> = blocks.lines().filter(|line| !line.contains("buckets:")).collect();
    Files::of(("stack.yaml", without.join("\n").as_bytes()), None)
}

fn each_text() -> String {
    let project = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = project.join("tests/laws/stacks/each/stack.yaml");
    std::fs::read_to_string(path).expect("the stacks of the laws can be read")
}

/// A stack by its name, or by its folder within the project.
pub(crate) fn find(stack: &str) -> Files {
    let project = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    load::find(Some(stack), project).expect("the stacks of the laws can be read")
}

fn moment(world: &World, journal: &Store, clock: Clock) -> Moment {
    Moment {
        core: world.look(Core::clone),
        journal: journal.read().expect("memory can be read"),
        at: clock.now(),
    }
}

/// Where charts are kept between the laws.
pub(crate) fn charts() -> Utf8PathBuf {
    Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("charts")
}

/// A world that is being played in.
pub(crate) struct Stage {
    /// The world.
    pub(crate) world: World,
    /// What its clients send.
    pub(crate) watch: Arc<Watch>,
    pub(crate) context: Context,
    journal: Store,
    heard: Mutex<UnboundedReceiver<Event>>,
    pub(crate) files: Files,
}

/// Plays a script in a world that goes on from a moment.
pub(crate) fn play<T: Send>(from: &Moment, files: &Files, script: impl AsyncFnOnce(&Stage) -> T + Send) -> T {
    let on_stage = || {
        // Another run draws other names: two instances of a stack must not look like one.
        let elapsed = from.at.duration_since(rehearse::begins()).as_millis();
        fastrand::seed(SEED + u64::try_from(elapsed).unwrap_or_default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without input and output needs nothing that could be missing");
        runtime.block_on(async {
            let clock = Clock::starting_at(from.at);
            let world = World::new(from.core.clone(), clock, rehearse::programs());
            let stage = Stage::new(&world, from, files);
            tokio::select! {
                biased;
                result = script(&stage) => result,
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

impl Stage {
    fn new(world: &World, from: &Moment, files: &Files) -> Self {
        let journal = Store::memory();
        journal.replace(&from.journal).expect("memory can be written");
        let watch = Arc::new(Watch::default());
        let region = load::region(files, &Settings::default()).expect("the stacks of the laws name their region");
        let clock = world.clock();
        let (events, heard) = Events::channel(clock);
        let connector = world.connector().behind(watch.connector_gate());
        let context = Context {
            world: WorldName::Local,
            clients: Clients::local(connector, &region, clock),
            clock,
            events,
            cancel: Cancel::default(),
            home: Home::Memory {
                journal: journal.clone(),
                cache: charts(),
            },
            pace: Pace::default(),
            fence: None,
        };
        Self {
            world: world.clone(),
            watch,
            context,
            journal,
            heard: Mutex::new(heard),
            files: files.clone(),
        }
    }

    /// The world and the journal as they are.
    pub(crate) fn moment(&self) -> Moment {
        moment(&self.world, &self.journal, self.context.clock)
    }

    /// Tells of every instant of what is played from now on, with what a kill there leaves.
    pub(crate) fn at_every_instant(
        &self,
        mut listener: impl FnMut(&Instant, &dyn Fn() -> Moment) -> Fate + Send + 'static,
    ) {
        let (world, journal, clock) = (self.world.clone(), self.journal.clone(), self.context.clock);
        let left = move || moment(&world, &journal, clock);
        self.watch.tell(Box::new(move |instant| listener(instant, &left)));
    }

    /// What was told since this was last asked, as `--json` prints it.
    pub(crate) fn told(&self) -> String {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = String::new();
        while let Ok(event) = heard.try_recv() {
            told.push_str(&json::line(&event));
            told.push('\n');
        }
        told
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.context.cancel.escalate();
    }

    /// Waits.
    pub(crate) async fn wait(&self, duration: std::time::Duration) {
        self.context.clock.sleep(duration).await;
    }

    async fn open(&self, command: &str) -> Result<Session, Failure> {
        let mut session = Session::open(&self.context, command, &self.files, &Settings::default()).await?;
        session.journal = session.journal.behind(self.watch.journal_gate());
        Ok(session)
    }

    /// `tubectl up`, whatever comes of it.
    pub(crate) async fn try_up(&self) -> Result<(Look, Outcome), Failure> {
        let session = self.open("up").await?;
        let look = session.look(&self.context).await?;
        let outcome = up::apply(&self.context, &session, &look).await?;
        Ok((look, outcome))
    }

    /// `tubectl up`.
    pub(crate) async fn up(&self) -> Result<(), Failure> {
        let (_, outcome) = self.try_up().await?;
        self.verdict(&outcome)
    }

    /// What `tubectl up` makes of an outcome.
    pub(crate) fn verdict(&self, outcome: &Outcome) -> Result<(), Failure> {
        up::verdict(&self.context, outcome)
    }

    /// Looks, as every command does first.
    pub(crate) async fn look(&self) -> Result<Look, Failure> {
        self.open("plan").await?.look(&self.context).await
    }

    /// `tubectl plan`: its text, and whether there is anything to do.
    pub(crate) async fn plan(&self) -> Result<(String, bool), Failure> {
        let look = self.look().await?;
        let work = look.plan.work().next().is_some() || !look.plan.removals.is_empty();
        Ok((plan::text(&look), work))
    }

    /// The stack as it is read here.
    pub(crate) async fn stack(&self) -> Stack {
        let session = self.open("plan").await.unwrap_or_else(|failure| panic!("{failure}"));
        session.stack
    }

    /// `tubectl up` of a stack that was changed.
    pub(crate) async fn up_with(&self, change: impl Fn(&mut Stack)) -> Result<(), Failure> {
        let mut session = self.open("up").await?;
        change(&mut session.stack);
        let look = session.look(&self.context).await?;
        let outcome = up::apply(&self.context, &session, &look).await?;
        self.verdict(&outcome)
    }

    /// `tubectl plan` of a stack that was changed.
    pub(crate) async fn plan_with(&self, change: impl Fn(&mut Stack)) -> Result<(String, bool), Failure> {
        let mut session = self.open("plan").await?;
        change(&mut session.stack);
        let look = session.look(&self.context).await?;
        Ok((plan::text(&look), !look.plan.is_empty()))
    }

    /// `tubectl down`.
    pub(crate) async fn down(&self) -> Result<Report, Failure> {
        let session = self.open("down").await?;
        let report = down::take_down(&self.context, &session, &Options::default()).await?;
        match down::verdict(&self.context, &report) {
            Ok(()) => Ok(report),
            Err(mut failure) => {
                failure.hints.push(report.proof.to_string());
                failure.hints.push(format!("{:?}", report.blocked));
                Err(failure)
            }
        }
    }

    /// `tubectl demo`.
    pub(crate) async fn show(&self, options: demo::Options) -> Result<show::report::Report, Failure> {
        let session = self.open("demo").await?;
        Box::pin(demo::play(&self.context, &session, options)).await
    }

    /// `tubectl cue NAME`, as from another terminal.
    pub(crate) async fn cue(&self, name: &str, winners: Winners) -> Result<Fired, Failure> {
        let session = self.open("cue").await?;
        cue::fire(&self.context, &session, name, winners).await
    }

    /// Where the show is played.
    pub(crate) async fn stage(&self) -> director::Stage {
        let session = self.open("cue").await.expect("the stack can be opened");
        cue::stage(&self.context, &session).await.expect("the stack stands")
    }

    /// What the page says of itself.
    pub(crate) async fn page(&self) -> show::page::Config {
        self.stage().await.page.config().await.expect("the page answers")
    }

    /// Ctrl-C.
    pub(crate) fn escalate(&self) {
        self.context.cancel.escalate();
    }

    /// What happened since the last look.
    pub(crate) fn heard(&self) -> Vec<EventKind> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| heard.try_recv().ok())
            .map(|event| event.kind)
            .collect()
    }

    /// Time.
    pub(crate) fn clock(&self) -> Clock {
        self.context.clock
    }

    /// Puts an object into the stack's bucket.
    pub(crate) async fn put_object(&self, key: &str) {
        let buckets = self.inventory();
        let bucket = buckets["s3/bucket"].first().expect("the stack has a bucket");
        let client = aws_sdk_s3::Client::new(&self.context.clients.aws);
        let put = client.put_object().bucket(bucket).key(key).send().await;
        put.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Everything that is in the account: ids by kind.
    pub(crate) fn inventory(&self) -> BTreeMap<String, Vec<String>> {
        self.world.look(Core::inventory)
    }

    /// How many there are of each kind.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let inventory = self.inventory().into_iter();
        inventory.map(|(kind, ids)| (kind, ids.len())).collect()
    }
}
