//! tubectl: from an empty AWS account to a live Kubernetes autoscaling demo, and back to an empty account.
//!
//! A stack becomes a graph, the graph becomes a plan, the plan becomes events; each step is a room, and the rooms can
//! be read in this order.

pub mod error;
pub mod event;
pub mod resource;

pub mod stack;

pub mod graph;
pub mod plan;

pub mod cost;

pub mod apply;
pub mod state;

pub mod provider;

pub mod teardown;

pub mod clients;

pub mod image;
pub mod release;

pub mod show;

pub mod commands;
pub mod ui;

pub mod cli;
