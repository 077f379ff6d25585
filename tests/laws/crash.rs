//! Nothing is lost: a run is killed at every instant, and the next one goes on from what it left.
//!
//! A kill leaves a world and a journal. Both are copied while a run is played once: before each call, after its effect
//! and before its answer, after its answer and before the journal's line. From each copy a new run goes on, once with
//! the journal and once without; an instant that leaves the same as the one before it is left out.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use itertools::Itertools;
use tubectl::error::Failure;
use tubectl::stack::load::Files;

use crate::stage;
use crate::stage::Moment;
use crate::stage::Stage;
use crate::stage::play;
use crate::watch::Fate;
use crate::watch::Instant;

/// How many copies wait to be gone on from: each is a whole world.
const AHEAD: usize = 4;

/// What a kill left.
struct Killed {
    /// When it came.
    name: String,
    left: Moment,
}

/// Which instants of a run are gone on from.
#[derive(Clone, Copy)]
enum Chosen {
    Every,
    /// One in so many.
    OneIn(usize),
}

/// Hands what a kill leaves at the chosen instants to whoever goes on from it.
fn killing(chosen: Chosen, killed: SyncSender<Killed>) -> impl FnMut(&Instant, &dyn Fn() -> Moment) -> Fate + Send {
    let (mut last, mut last_alone) = (None, None);
    let mut count: usize = 0;
    let send = move |name: String, left: Moment| killed.send(Killed { name, left }).expect("somebody goes on from it");
    move |instant, left| {
        if last.replace((instant.effects, instant.outcomes)) == Some((instant.effects, instant.outcomes)) {
            return Fate::Lives;
        }
        count += 1;
        if matches!(chosen, Chosen::OneIn(many) if !count.is_multiple_of(many)) {
            return Fate::Lives;
        }
        let left = left();
        // Without the journal, only what the world has tells one instant from another.
        if last_alone.replace(instant.effects) != Some(instant.effects) {
            let journal = String::new();
            send(
                format!("{}, the journal lost", instant.name),
                Moment {
                    journal,
                    ..left.clone()
                },
            );
        }
        send(instant.name.clone(), left);
        Fate::Lives
    }
}

/// Plays a run, and the law from what a kill leaves at each chosen instant of it; panics with all that broke it. Gives
/// how often the law was played.
fn check_kills(
    from: &Moment,
    files: &Files,
    chosen: Chosen,
    run: impl AsyncFnOnce(&Stage) -> Result<(), Failure> + Send,
    law: impl Fn(&Moment) -> Result<(), String> + Sync,
) -> usize {
    let (sender, receiver) = sync_channel::<Killed>(AHEAD);
    let receiver = Mutex::new(receiver);
    let verdicts = Mutex::new(Vec::new());
    let next = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
    let judge = || {
        while let Some(killed) = next() {
            let verdict =
                catch_unwind(AssertUnwindSafe(|| law(&killed.left))).unwrap_or_else(|panic| Err(words(panic)));
            let verdict = verdict.err().map(|why| format!("{}: {why}", killed.name));
            verdicts.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(judge);
        }
        play(from, files, async |stage| {
            stage.at_every_instant(killing(chosen, sender));
            run(stage).await.unwrap_or_else(|failure| panic!("{failure}"));
        });
    });
    let verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let broken: Vec<&String> = verdicts.iter().flatten().collect();
    assert!(
        broken.is_empty(),
        "{} of {} kills break the law:\n  {}",
        broken.len(),
        verdicts.len(),
        broken.iter().join("\n  ")
    );
    verdicts.len()
}

fn words(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast::<String>().map(|text| *text);
    text.unwrap_or_else(|_| "a panic without words".to_owned())
}

/// The stack as an undisturbed run leaves it.
fn standing(files: &Files) -> (Moment, BTreeMap<String, usize>) {
    play(&Moment::beginning(), files, async |stage| {
        stage.up().await.unwrap_or_else(|failure| panic!("{failure}"));
        (stage.moment(), stage.counts())
    })
}

/// Takes the stack down, after which the account is empty.
async fn leaves_nothing(stage: &Stage) -> Result<(), String> {
    let report = stage
        .down()
        .await
        .map_err(|failure| format!("down: {}", failure.report()))?;
    // What comes after the end comes within this.
    stage.clock().sleep(Duration::from_mins(2)).await;
    let left = stage.inventory();
    if report.proof.is_clean() && left == Moment::beginning().core.inventory() {
        return Ok(());
    }
    Err(format!("down leaves {left:?}"))
}

/// A killed `up` is run again: what stands is what an undisturbed run leaves, no more and no less, and `down` takes it.
fn check_up(files: &Files, chosen: Chosen) -> usize {
    let (_, expected) = standing(files);
    let law = |left: &Moment| {
        play(left, files, async |stage| {
            stage
                .up()
                .await
                .map_err(|failure| format!("up: {}", failure.report()))?;
            let found = stage.counts();
            if found != expected {
                return Err(format!("stands {found:?}, should {expected:?}"));
            }
            leaves_nothing(stage).await
        })
    };
    check_kills(&Moment::beginning(), files, chosen, async |stage| stage.up().await, law)
}

/// A killed `down` is run again, and leaves nothing.
fn check_down(files: &Files, chosen: Chosen) -> usize {
    let (standing, _) = standing(files);
    let law = |left: &Moment| play(left, files, async |stage| leaves_nothing(stage).await);
    check_kills(
        &standing,
        files,
        chosen,
        async |stage| stage.down().await.map(drop),
        law,
    )
}

#[test]
fn an_up_that_is_killed_at_any_instant_is_finished_by_the_next() {
    let kills = check_up(&stage::each(), Chosen::Every);
    assert!(kills > 250, "{kills}");
}

#[test]
fn a_down_that_is_killed_at_any_instant_is_finished_by_the_next() {
    let kills = check_down(&stage::each(), Chosen::Every);
    assert!(kills > 100, "{kills}");
}

#[test]
fn the_show_s_stack_can_be_killed_on_its_way_up_and_down() {
    let files = stage::find("tube");
    let kills = check_up(&files, Chosen::OneIn(60)) + check_down(&files, Chosen::OneIn(30));
    assert!(kills > 20, "{kills}");
}

#[test]
fn a_killed_client_sends_nothing_more() {
    for nth in [5, 50, 150] {
        play(&Moment::beginning(), &stage::each(), async |stage| {
            let left: Arc<Mutex<Option<Moment>>> = Arc::default();
            let (kept, mut count) = (left.clone(), 0);
            stage.at_every_instant(move |_, moment| {
                count += 1;
                if count < nth {
                    return Fate::Lives;
                }
                *kept.lock().unwrap() = Some(moment());
                Fate::Dies
            });
            tokio::select! {
                biased;
                () = stage.watch.death() => {}
                _ = stage.up() => panic!("it was not killed"),
            }
            // The run is dropped here, with every connection and every lease that it held.
            stage.clock().sleep(Duration::from_mins(1)).await;
            let left = left.lock().unwrap().take().unwrap();
            let now = stage.moment();
            assert_eq!(now.journal, left.journal);
            assert_eq!(now.core.mutations(), left.core.mutations());
        });
    }
}
