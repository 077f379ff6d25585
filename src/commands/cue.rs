//! `tubectl cue NAME`, `tubectl survey`, `tubectl winners`: fire a cue, from any terminal.

use std::sync::Arc;

use camino::Utf8Path;

use crate::commands::args::Cue;
use crate::commands::connect::Intent;
use crate::commands::connect::connect;
use crate::commands::context::Context;
use crate::commands::live::watched;
use crate::commands::place;
use crate::commands::place::Meant;
use crate::commands::session::Session;
use crate::commands::session::failed;
use crate::error::Failure;
use crate::error::Kind as FailureKind;
use crate::provider::aws::s3_storage::BucketStorage;
use crate::provider::kube::ObjectName;
use crate::resource::kind::Kind;
use crate::show::ShowError;
use crate::show::director::Fired;
use crate::show::director::Stage;
use crate::show::director::Winners;
use crate::show::page::Page;
use crate::ui::output::Format;
use crate::ui::output::Output;
use tubectl_gateway::MemoryStorage;
use tubectl_gateway::Storage;

/// The bucket that holds what the audience answered, as stacks call it.
const RESPONSES: &str = "bucket/responses";

/// Fires a cue and waits until the page shows it. It needs no running demo; one that runs sees it on the page's
/// `ConfigMap`, like the page itself.
pub async fn run(arguments: &Cue, home: &Utf8Path, format: Format, output: Output) -> Result<(), Failure> {
    let winners = if arguments.again {
        Winners::DrawAgain
    } else {
        Winners::Keep
    };
    let Meant { files, settings, place } = place::standing(&arguments.stack, &arguments.place, home)?;
    let connected = connect(&place, home, (&files, &settings), Intent::Look, output).await?;
    watched(connected, format, output, async |context| {
        let command = format!("cue {}", arguments.name);
        let session = Session::open(&context, &command, &files, &settings).await?;
        fire(&context, &session, &arguments.name, winners).await.map(drop)
    })
    .await
}

/// Fires a cue of the stack's show.
pub async fn fire(context: &Context, session: &Session, name: &str, winners: Winners) -> Result<Fired, Failure> {
    let stage = stage(context, session).await?;
    stage.fire(name, winners).await.map_err(Failure::yours)
}

/// Where the stack's show is played.
pub async fn stage(context: &Context, session: &Session) -> Result<Stage, Failure> {
    let Some(demo) = session.stack.demo.clone() else {
        let what = format!("`{}` has no show", session.stack.name);
        return Err(Failure::said(
            FailureKind::Yours,
            what,
            "write a demo.yaml beside its stack.yaml",
        ));
    };
    let observed = session.aws.observe().await.map_err(failed)?;
    let Some(kube) = session.kube(context, &observed)? else {
        let what = format!("`{}` has no cluster that can be reached", session.stack.name);
        return Err(Failure::said(
            FailureKind::Yours,
            what,
            "bring it up first: `tubectl up`",
        ));
    };
    let ingress = ObjectName {
        api_version: "networking.k8s.io/v1".to_owned(),
        kind: "Ingress".to_owned(),
        namespace: demo.page.ingress.namespace.clone(),
        name: demo.page.ingress.name.clone(),
    };
    let ingress = kube.get(&ingress).await.map_err(failed)?;
    let host = ingress.as_ref().and_then(|ingress| {
        let host = &ingress["status"]["loadBalancer"]["ingress"][0]["hostname"];
        host.as_str().map(str::to_owned)
    });
    let Some(host) = host else {
        return Err(Failure::yours(ShowError::NoIngress(demo.page.ingress.to_string())));
    };
    let bucket = session
        .stack
        .resources
        .iter()
        .find(|desired| desired.kind == Kind::Bucket && desired.id.as_str() == RESPONSES);
    let responses: Arc<dyn Storage> = match bucket {
        Some(bucket) => Arc::new(BucketStorage::new(&context.clients.aws, &bucket.name)),
        None => Arc::new(MemoryStorage::default()),
    };
    let page = Page::new(context.clients.web(), &host);
    Ok(Stage {
        demo,
        kube,
        opens: page.address.clone(),
        page,
        responses,
        clock: context.clock,
        events: context.events.clone(),
    })
}
