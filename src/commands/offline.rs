//! A look at a stack without any world: its charts from the cache, else from the stand-ins, rendered with nothing known.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use tubectl_chart::Chart;
use tubectl_chart::repository::Cache;
use tubectl_chart::repository::PullError;
use tubectl_clock::Clock;
use tubectl_world::connect::Connector;
use tubectl_world::connect::World;

use crate::commands::context::Home;
use crate::commands::context::WorldName;
use crate::commands::rehearse;
use crate::release::render;
use crate::release::render::RenderError;
use crate::release::render::Rendering;
use crate::release::render::Setting;
use crate::resource::kind::Kind;
use crate::resource::unknown::Outputs;
use crate::stack::Place;
use crate::stack::Stack;
use crate::stack::load;
use crate::stack::load::Files;
use crate::stack::load::Settings;
use crate::stack::release::Release;
use crate::stack::release::Source;

/// The Kubernetes version that is assumed where a stack has no cluster.
const KUBERNETES: &str = "1.34";

/// A stack as it reads, wherever it may stand later.
pub fn stack(files: &Files, settings: &Settings) -> Result<Stack, load::LoadError> {
    let region = load::region(files, settings)?;
    load::load(files, settings, &Place::nowhere(&region))
}

/// Where the charts of a look came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Releases whose charts were in the cache.
    pub cache: Vec<String>,
    /// Releases whose charts are the local world's stand-ins.
    pub stand_ins: Vec<String>,
}

impl Origins {
    /// One sentence of it; none where no chart is anybody else's.
    pub fn told(&self) -> Option<String> {
        let part = |releases: &[String], from: &str| {
            (!releases.is_empty()).then(|| format!("from {from}: {}", releases.join(", ")))
        };
        let parts: Vec<String> = [
            part(&self.cache, "the cache"),
            part(&self.stand_ins, "the local world's stand-ins"),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!parts.is_empty()).then(|| format!("charts {}", parts.join("; ")))
    }
}

/// The releases of a stack, rendered with nothing known.
pub async fn render(stack: &Stack, home: &Home) -> Result<(Vec<Rendering>, Origins), RenderError> {
    let (charts, origins) = charts(&stack.releases, home).await?;
    let setting = Setting {
        kubernetes: kubernetes(stack),
        seed: 0,
    };
    let renderings = render::render(&stack.releases, &charts, &setting, &Outputs::new())?;
    Ok((renderings, origins))
}

/// The charts of releases, and where they came from.
pub async fn charts(releases: &[Release], home: &Home) -> Result<(BTreeMap<String, Chart>, Origins), RenderError> {
    let clock = Clock::starting_at(rehearse::begins());
    let world = World::new(rehearse::core(0), clock, rehearse::programs());
    let connector = world.connector();
    let collect = async {
        let mut charts = BTreeMap::new();
        let mut origins = Origins::default();
        for release in releases {
            let one = std::slice::from_ref(release);
            let kept = render::collect(one, &Cache::new(home.charts(WorldName::Aws).as_std_path()), &nobody).await;
            let found = match kept {
                Err(error) if is_missing(&error) => {
                    let cache = Cache::new(home.charts(WorldName::Local).as_std_path());
                    origins.stand_ins.push(release.name.clone());
                    render::collect(one, &cache, &|request| from(connector.clone(), request)).await
                }
                kept => {
                    if matches!(release.source, Source::Chart { .. }) {
                        origins.cache.push(release.name.clone());
                    }
                    kept
                }
            };
            charts.extend(found?);
        }
        Ok((charts, origins))
    };
    tokio::select! {
        biased;
        result = collect => result,
        () = world.run() => unreachable!("a world runs until it is dropped"),
    }
}

fn is_missing(error: &RenderError) -> bool {
    matches!(error, RenderError::Pull { source, .. } if matches!(**source, PullError::Unreachable { .. }))
}

/// Reaches nobody, so that only the cache is left.
async fn nobody(_: http::Request<Bytes>) -> Result<http::Response<Bytes>, io::Error> {
    Err(io::Error::other("nothing is asked of the network here"))
}

/// Asks a world for a chart.
pub async fn from(connector: Connector, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, io::Error> {
    let (head, body) = connector.send(request).await.map_err(io::Error::other)?.into_parts();
    Ok(http::Response::from_parts(head, body.whole().await))
}

fn kubernetes(stack: &Stack) -> String {
    let cluster = stack.resources.iter().find(|desired| desired.kind == Kind::Cluster);
    let version = cluster.and_then(|cluster| cluster.spec["version"].as_str());
    version.unwrap_or(KUBERNETES).to_owned()
}
