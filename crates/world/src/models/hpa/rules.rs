//! From what the metrics ask for to what the limits allow: stabilization first, then the rate, then the range.

use jiff::SignedDuration;
use jiff::Timestamp;

use super::Behavior;
use super::Change;
use super::Limit;
use super::Pass;
use super::Policy;
use super::Rules;
use super::Select;
use super::Settings;

const WITHIN_RANGE: Limited = Limited {
    reason: "DesiredWithinRange",
    message: "the desired count is within the acceptable range",
};
const TOO_FEW: Limited = Limited {
    reason: "TooFewReplicas",
    message: "the desired replica count is less than the minimum replica count",
};
const TOO_MANY: Limited = Limited {
    reason: "TooManyReplicas",
    message: "the desired replica count is more than the maximum replica count",
};
const TOO_FAST_UP: Limited = Limited {
    reason: "ScaleUpLimit",
    message: "the desired replica count is increasing faster than the maximum scale rate",
};
const TOO_FAST_DOWN: Limited = Limited {
    reason: "ScaleDownLimit",
    message: "the desired replica count is decreasing faster than the maximum scale rate",
};
const HELD_UP: &str = "recent recommendations were lower than current one, applying the lowest recent recommendation";
const HELD_DOWN: &str =
    "recent recommendations were higher than current one, applying the highest recent recommendation";

#[derive(Clone, Copy)]
struct Limited {
    reason: &'static str,
    message: &'static str,
}

/// A behavior with every default written out.
pub(super) struct Filled {
    up: Direction,
    down: Direction,
}

struct Direction {
    window: SignedDuration,
    select: Select,
    policies: Vec<Policy>,
}

pub(super) fn filled(behavior: &Behavior, settings: &Settings) -> Filled {
    let period = SignedDuration::from_secs(15);
    let percent = Policy {
        limit: Limit::Percent(100),
        period,
    };
    let pods = Policy {
        limit: Limit::Pods(4),
        period,
    };
    Filled {
        up: direction(behavior.scale_up.as_ref(), SignedDuration::ZERO, &[pods, percent]),
        down: direction(
            behavior.scale_down.as_ref(),
            settings.downscale_stabilization,
            &[percent],
        ),
    }
}

fn direction(rules: Option<&Rules>, window: SignedDuration, policies: &[Policy]) -> Direction {
    let given = rules.cloned().unwrap_or_default();
    Direction {
        window: given.stabilization_window.unwrap_or(window),
        select: given.select.unwrap_or(Select::Max),
        policies: given.policies.unwrap_or_else(|| policies.to_vec()),
    }
}

impl Pass<'_> {
    /// The path of a spec without behavior: the highest recommendation of the window, at most twice the size.
    pub(super) fn within_defaults(&mut self, proposed: i32) -> i32 {
        let current = self.scale.spec;
        let cutoff = self.now - self.settings.downscale_stabilization;
        self.state
            .recommendations
            .retain(|recommendation| recommendation.at >= cutoff);
        let recommendations = self.state.recommendations.iter();
        let stabilized = recommendations
            .map(|recommendation| recommendation.replicas)
            .fold(proposed, i32::max);
        self.recommend(proposed);
        self.stabilized(proposed, stabilized, "ScaleDownStabilized", HELD_DOWN);

        let fastest = current.saturating_mul(2).max(4);
        let (most, too_many) = if self.spec.max > fastest {
            (fastest, TOO_FAST_UP)
        } else {
            (self.spec.max, TOO_MANY)
        };
        if stabilized < self.spec.min {
            self.limit(stabilized, self.spec.min, TOO_FEW)
        } else if stabilized > most {
            self.limit(stabilized, most, too_many)
        } else {
            self.limit(stabilized, stabilized, WITHIN_RANGE)
        }
    }

    /// The path of a spec with behavior.
    pub(super) fn within_behavior(&mut self, behavior: &Filled, proposed: i32) -> i32 {
        let current = self.scale.spec;
        let stabilized = self.stabilize(behavior, proposed);
        if stabilized > current {
            let fastest = self.fastest_up(&behavior.up).max(current);
            let (most, reason) = if self.spec.max > fastest {
                (fastest, TOO_FAST_UP)
            } else {
                (self.spec.max, TOO_MANY)
            };
            if stabilized > most {
                return self.limit(stabilized, most, reason);
            }
        } else if stabilized < current {
            let fastest = self.fastest_down(&behavior.down).min(current);
            let (least, reason) = if self.spec.min < fastest {
                (fastest, TOO_FAST_DOWN)
            } else {
                (self.spec.min, TOO_FEW)
            };
            if stabilized < least {
                return self.limit(stabilized, least, reason);
            }
        }
        self.limit(stabilized, stabilized, WITHIN_RANGE)
    }

    /// Holds a proposal between the lowest recommendation of the window for scaling up and the highest of the one for
    /// scaling down. What is remembered is the proposal itself, before any limit.
    fn stabilize(&mut self, behavior: &Filled, proposed: i32) -> i32 {
        let current = self.scale.spec;
        let (up_cutoff, down_cutoff) = (self.now - behavior.up.window, self.now - behavior.down.window);
        let (mut lowest, mut highest) = (proposed, proposed);
        for recommendation in &self.state.recommendations {
            if recommendation.at > up_cutoff {
                lowest = lowest.min(recommendation.replicas);
            }
            if recommendation.at > down_cutoff {
                highest = highest.max(recommendation.replicas);
            }
        }
        let oldest = up_cutoff.min(down_cutoff);
        self.state
            .recommendations
            .retain(|recommendation| recommendation.at >= oldest);
        self.recommend(proposed);
        let stabilized = current.max(lowest).min(highest);
        let (reason, message) = if proposed >= current {
            ("ScaleUpStabilized", HELD_UP)
        } else {
            ("ScaleDownStabilized", HELD_DOWN)
        };
        self.stabilized(proposed, stabilized, reason, message);
        stabilized
    }

    fn stabilized(&mut self, proposed: i32, stabilized: i32, reason: &str, message: &str) {
        if stabilized == proposed {
            self.able("ReadyForNewScale", "recommended size matches current size");
        } else {
            self.able(reason, message);
        }
    }

    fn limit(&mut self, wanted: i32, allowed: i32, limited: Limited) -> i32 {
        self.limited(wanted != allowed, limited.reason, limited.message);
        allowed
    }

    fn fastest_up(&self, rules: &Direction) -> i32 {
        let current = self.scale.spec;
        let limits = rules.policies.iter().map(|policy| {
            let start = self.at_period_start(policy.period);
            match policy.limit {
                Limit::Pods(pods) => start.saturating_add(pods),
                Limit::Percent(percent) => truncated((f64::from(start) * (1.0 + f64::from(percent) / 100.0)).ceil()),
            }
        });
        match rules.select {
            Select::Disabled => current,
            Select::Max => limits.max().unwrap_or(current),
            Select::Min => limits.min().unwrap_or(current),
        }
    }

    fn fastest_down(&self, rules: &Direction) -> i32 {
        let current = self.scale.spec;
        let limits = rules.policies.iter().map(|policy| {
            let start = self.at_period_start(policy.period);
            match policy.limit {
                Limit::Pods(pods) => start.saturating_sub(pods),
                Limit::Percent(percent) => truncated(f64::from(start) * (1.0 - f64::from(percent) / 100.0)),
            }
        });
        match rules.select {
            Select::Disabled => current,
            Select::Max => limits.min().unwrap_or(current),
            Select::Min => limits.max().unwrap_or(current),
        }
    }

    /// The replicas there were when the period began.
    fn at_period_start(&self, period: SignedDuration) -> i32 {
        let cutoff = self.now - period;
        let changed = |changes: &[Change]| -> i32 {
            let recent = changes.iter().filter(|change| change.at > cutoff);
            recent.map(|change| change.replicas).sum()
        };
        self.scale.spec - changed(&self.state.scale_ups) + changed(&self.state.scale_downs)
    }

    /// Keeps a rescale for as long as any policy looks back.
    pub(super) fn remember(&mut self, from: i32, to: i32) {
        let Some(behavior) = &self.spec.behavior else { return };
        let behavior = filled(behavior, self.settings);
        let policies = behavior.up.policies.iter().chain(&behavior.down.policies);
        let longest = policies
            .map(|policy| policy.period)
            .max()
            .unwrap_or(SignedDuration::ZERO);
        let cutoff: Timestamp = self.now - longest;
        let at = self.now;
        for changes in [&mut self.state.scale_ups, &mut self.state.scale_downs] {
            changes.retain(|change| change.at > cutoff);
        }
        if to > from {
            let replicas = to - from;
            self.state.scale_ups.push(Change { at, replicas });
        } else {
            let replicas = from - to;
            self.state.scale_downs.push(Change { at, replicas });
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the controller drops the fraction")]
fn truncated(value: f64) -> i32 {
    value as i32
}
