//! A stand-in audience: phones that open the page, poll it, ask, answer the survey and look whether they won. They use
//! the public API and nothing else, and the same seed gives the same people.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::json;
use tubectl_clock::Clock;

use crate::show::page::Page;
use crate::stack::demo::Audience;

/// What people ask.
const QUESTIONS: [&str; 12] = [
    "Which line has the most stations?",
    "Why is it called the tube?",
    "What is the deepest platform?",
    "Do ghosts ride the Bakerloo line?",
    "Who drew the map?",
    "How hot does the Central line get?",
    "Which station has no letter of mackerel?",
    "What happens to lost umbrellas?",
    "How long is the longest escalator?",
    "Why do mice live on the tracks?",
    "Which line is the oldest?",
    "Can a model replace the announcements?",
];

/// What people write under the survey.
const FEEDBACK: [&str; 5] = [
    "The queue was the best part.",
    "More trains, fewer slides.",
    "I watched the nodes come up.",
    "Could you show what it costs?",
    "Mind the gap between one replica and ten.",
];

/// Where people work.
const COMPANIES: [&str; 5] = [
    "Acton & Sons",
    "Baker Street Labs",
    "Epping Data",
    "Morden Media",
    "Oval Systems",
];

/// What an audience did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Phones that opened the page.
    pub phones: u64,
    /// Questions that were sent.
    pub asked: u64,
    /// Questions that came back with an answer.
    pub answered: u64,
    /// Answers to the survey that were taken.
    pub votes: u64,
    /// Phones that saw that they won.
    pub winners: u64,
    /// Requests that failed or were refused.
    pub failed: u64,
}

/// One person, decided before the show.
#[derive(Clone, Debug, PartialEq)]
struct Person {
    browser: String,
    arrives: Duration,
    // What is asked, and the pause before it.
    questions: Vec<(Duration, &'static str)>,
    poll: Duration,
    vote: Option<Vote>,
}

#[derive(Clone, Debug, PartialEq)]
struct Vote {
    after: Duration,
    rating: usize,
    company: Option<&'static str>,
    feedback: Option<&'static str>,
}

/// A phone's side of the show.
struct Phone<'a> {
    person: Person,
    page: &'a Page,
    clock: Clock,
    tally: &'a Mutex<Tally>,
    // The id of its answer to the survey, once it gave one.
    response: Option<String>,
}

#[derive(Deserialize)]
struct Winners {
    winners: Vec<String>,
}

/// Plays an audience until everybody has seen the page close, or until `stop` is done.
pub async fn play(audience: &Audience, page: &Page, clock: Clock, stop: impl Future<Output = ()>) -> Tally {
    let tally = Mutex::new(Tally::default());
    {
        let mut phones: FuturesUnordered<_> = people(audience)
            .into_iter()
            .map(|person| {
                let phone = Phone {
                    person,
                    page,
                    clock,
                    tally: &tally,
                    response: None,
                };
                phone.live()
            })
            .collect();
        tokio::select! {
            biased;
            () = async { while phones.next().await.is_some() {} } => {}
            () = stop => {}
        }
    }
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Phone<'_> {
    async fn live(mut self) {
        self.clock.sleep(self.person.arrives).await;
        self.count(|tally| tally.phones += 1);
        if self.page.get("/").await.is_err() {
            self.count(|tally| tally.failed += 1);
        }
        let mut asks_at = self.clock.now();
        let mut survey_since = None;
        let mut looked = false;
        loop {
            let now = self.clock.now();
            match self.page.config().await {
                Err(_) => self.count(|tally| tally.failed += 1),
                Ok(config) => {
                    match config.mode.as_str() {
                        "quiz" => self.ask_next(&mut asks_at).await,
                        "survey" => self.vote_in_time(*survey_since.get_or_insert(now)).await,
                        _ => {}
                    }
                    if config.winners_picked && !looked {
                        looked = self.look().await;
                    }
                    if config.mode == "closed" {
                        return;
                    }
                }
            }
            self.clock.sleep(self.person.poll).await;
        }
    }

    /// Asks the next question, once its time has come.
    async fn ask_next(&mut self, asks_at: &mut Timestamp) {
        let Some((pause, question)) = self.person.questions.first().copied() else {
            return;
        };
        if self.clock.since(*asks_at) < pause {
            return;
        }
        self.person.questions.remove(0);
        self.count(|tally| tally.asked += 1);
        let answer = self
            .page
            .post("/api/question/submit", &json!({"question": question}))
            .await;
        match answer.map(|answer| answer.status) {
            Ok(200) => self.count(|tally| tally.answered += 1),
            // Kept without an answer, which is no failure.
            Ok(202) => {}
            Ok(_) | Err(_) => self.count(|tally| tally.failed += 1),
        }
        *asks_at = self.clock.now();
    }

    /// Answers the survey, once this person has made up their mind.
    async fn vote_in_time(&mut self, since: Timestamp) {
        let Some(vote) = self.person.vote.take_if(|vote| self.clock.since(since) >= vote.after) else {
            return;
        };
        let mut body = json!({"rating": vote.rating, "browser": self.person.browser});
        if let Some(company) = vote.company {
            body["company"] = json!(company);
        }
        if let Some(feedback) = vote.feedback {
            body["feedback"] = json!(feedback);
        }
        match self.page.post("/api/survey/submit", &body).await {
            Ok(answer) if answer.status == 201 => {
                self.response = answer.body["id"].as_str().map(str::to_owned);
                self.count(|tally| tally.votes += 1);
            }
            Ok(_) | Err(_) => self.count(|tally| tally.failed += 1),
        }
    }

    /// Looks whether this phone won; gives whether it could.
    async fn look(&self) -> bool {
        let Ok(winners) = self.page.read::<Winners>("/api/survey/winners").await else {
            self.count(|tally| tally.failed += 1);
            return false;
        };
        if self.response.as_ref().is_some_and(|own| winners.winners.contains(own)) {
            self.count(|tally| tally.winners += 1);
        }
        true
    }

    fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The people of an audience.
fn people(audience: &Audience) -> Vec<Person> {
    let mut rng = fastrand::Rng::with_seed(audience.seed);
    (0..audience.phones.0).map(|_| person(audience, &mut rng)).collect()
}

fn person(audience: &Audience, rng: &mut fastrand::Rng) -> Person {
    let browser = std::iter::repeat_with(|| rng.alphanumeric()).take(24).collect();
    let arrives = between(audience.arrive.from, audience.arrive.to, rng);
    let count = rng.u32(audience.questions.least..=audience.questions.most.max(audience.questions.least));
    let questions = (0..count)
        .map(|_| {
            let pause = between(audience.pause.least, audience.pause.most, rng);
            (pause, QUESTIONS[rng.usize(..QUESTIONS.len())])
        })
        .collect();
    // Phones are a little off the beat, so that they do not come all at once.
    let poll = audience.poll.value.mul_f64(0.9 + 0.2 * rng.f64());
    let survey = &audience.survey;
    let votes = rng.f64() < survey.share.0;
    let vote = Vote {
        after: between(Duration::ZERO, survey.within, rng),
        rating: weighted(&survey.ratings.value, rng) + 1,
        company: (rng.f64() < survey.company.0).then(|| COMPANIES[rng.usize(..COMPANIES.len())]),
        feedback: (rng.f64() < survey.feedback.0).then(|| FEEDBACK[rng.usize(..FEEDBACK.len())]),
    };
    Person {
        browser,
        arrives,
        questions,
        poll,
        vote: votes.then_some(vote),
    }
}

fn between(least: Duration, most: Duration, rng: &mut fastrand::Rng) -> Duration {
    let time = least + most.saturating_sub(least).mul_f64(rng.f64());
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// The place of the weight that chance falls on.
fn weighted(weights: &[u32], rng: &mut fastrand::Rng) -> usize {
    let weights = weights.iter().map(|weight| u64::from(*weight));
    let mut left = rng.u64(..weights.clone().sum::<u64>().max(1));
    for (place, weight) in weights.clone().enumerate() {
        if left < weight {
            return place;
        }
        left -= weight;
    }
    weights.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use crate::stack::declare::Within;
    use crate::stack::demo;
    use crate::stack::file::File;

    use super::*;

    fn tube() -> Audience {
        let (file, _) = File::new("demo.yaml", include_bytes!("../../stacks/tube/demo.yaml"));
        demo::read(&file).0.unwrap().audience
    }

    #[test]
    fn the_same_seed_gives_the_same_people() {
        let audience = tube();
        assert_eq!(people(&audience), people(&audience));
        let other = Audience {
            seed: 1,
            ..audience.clone()
        };
        assert_ne!(people(&audience), people(&other));
    }

    #[test]
    fn people_are_as_the_script_describes_them() {
        let audience = Audience {
            phones: Within(2000),
            ..tube()
        };
        let people = people(&audience);
        let voters = people.iter().filter(|person| person.vote.is_some()).count();
        assert!((1100..1300).contains(&voters), "{voters} of 2000 vote");
        for person in &people {
            assert!(person.arrives <= audience.arrive.to);
            assert!((1..=3).contains(&person.questions.len()));
            let pauses = person.questions.iter().map(|(pause, _)| *pause);
            assert!(pauses.clone().min().unwrap() >= audience.pause.least);
            assert!(pauses.max().unwrap() <= audience.pause.most);
            assert!(person.vote.iter().all(|vote| (1..=5).contains(&vote.rating)));
        }
    }
}
