//! A rehearsal is the commands themselves.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde_json::Value;
use tubectl::clients::Clients;
use tubectl::commands::context::Context;
use tubectl::commands::demo;
use tubectl::commands::down;
use tubectl::commands::rehearse;
use tubectl::commands::up;
use tubectl::stack::load;
use tubectl::stack::load::Settings;
use tubectl::teardown::Options;
use tubectl_world::Core;
use tubectl_world::Request;
use tubectl_world::connect::Connector;

use crate::scaling;
use crate::stage::Moment;
use crate::stage::Stage;
use crate::stage::charts;
use crate::stage::play;
use crate::tube;

/// A call that may change something.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    service: String,
    operation: String,
    target: Value,
}

impl Call {
    /// What a request asks for: the service that it is signed for, or the host; the action, or the method; and the path,
    /// or, where every call goes to one path, all that it says.
    fn of(request: &Request) -> Self {
        let header = |name: &str| request.headers().get(name)?.to_str().ok().map(str::to_owned);
        let scope = header("authorization").and_then(|signed| signed.split('/').nth(3).map(str::to_owned));
        let form = String::from_utf8_lossy(request.body()).into_owned();
        let action = form.split('&').find_map(|field| field.strip_prefix("Action="));
        let operation = header("x-amz-target").or_else(|| action.map(str::to_owned));
        let path = request.uri().path();
        Self {
            service: scope
                .or_else(|| request.uri().host().map(str::to_owned))
                .unwrap_or_default(),
            operation: operation.unwrap_or_else(|| request.method().to_string()),
            // The SDKs write maps in any order; as values they are the same.
            target: match path {
                "/" => serde_json::from_str(&form).unwrap_or(Value::String(form)),
                path => Value::String(path.to_owned()),
            },
        }
    }
}

/// A way into the stage's world that writes down the calls that may change something in the account or the cluster.
fn recorded(stage: &Stage) -> (Connector, Arc<Mutex<Vec<Call>>>) {
    let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
    let record = calls.clone();
    let connector = stage
        .world
        .connector()
        .behind(Arc::new(move |onward: Connector, request: Request| {
            // The audience and the load send to the page; they are no calls of the commands.
            let is_of_page = request.uri().host().is_some_and(|host| host.contains(".elb."));
            if !Core::reads(&request) && !is_of_page {
                let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
                record.push(Call::of(&request));
            }
            Box::pin(async move { onward.send(request).await })
        }));
    (connector, calls)
}

fn taken(calls: &Mutex<Vec<Call>>) -> Vec<Call> {
    std::mem::take(&mut calls.lock().unwrap_or_else(PoisonError::into_inner))
}

#[test]
fn a_rehearsal_makes_the_calls_of_up_demo_and_down_in_their_order() {
    let files = tube::playing(include_str!("short.yaml"));
    let rehearsed = play(&Moment::beginning(), &files, async |stage| {
        let (connector, calls) = recorded(stage);
        let events = stage.context.events.clone();
        let settings = Settings::default();
        let rehearsed = rehearse::rehearse(&stage.world, connector, &files, &settings, charts(), events).await;
        rehearsed.unwrap_or_else(|failure| panic!("{failure}"));
        taken(&calls)
    });
    let commanded = play(&Moment::beginning(), &files, async |stage| {
        let (connector, calls) = recorded(stage);
        let region = load::region(&files, &Settings::default()).expect("the stack names its region");
        let context = Context {
            clients: Clients::local(connector, &region, stage.context.clock),
            ..stage.context.clone()
        };
        let session = tube::open(&context, &files, "up").await;
        let look = session
            .look(&context)
            .await
            .unwrap_or_else(|failure| panic!("{failure}"));
        let outcome = up::apply(&context, &session, &look).await;
        let outcome = outcome.unwrap_or_else(|failure| panic!("{failure}"));
        up::verdict(&context, &outcome).unwrap_or_else(|failure| panic!("{failure}"));

        let session = tube::open(&context, &files, "demo").await;
        let options = demo::Options {
            // Whoever watches takes the stack down when it has come to rest.
            afterwards: demo::Afterwards::Settle,
            ..scaling::options(None)
        };
        let report = Box::pin(demo::play(&context, &session, options)).await;
        report.unwrap_or_else(|failure| panic!("{failure}"));

        let session = tube::open(&context, &files, "down").await;
        let report = down::take_down(&context, &session, &Options::default()).await;
        down::verdict(&context, &report.unwrap_or_else(|failure| panic!("{failure}")))
            .unwrap_or_else(|failure| panic!("{failure}"));
        taken(&calls)
    });
    let of = |service: &str| rehearsed.iter().filter(|call| call.service == service).count();
    assert!(
        of("ec2") > 20 && of("eks") > 10 && rehearsed.len() > 300,
        "{}",
        rehearsed.len()
    );
    for (number, (one, other)) in rehearsed.iter().zip(&commanded).enumerate() {
        assert_eq!(one, other, "call {number}");
    }
    assert_eq!(rehearsed.len(), commanded.len());
}
