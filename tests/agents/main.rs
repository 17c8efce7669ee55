//! Agents and their trainers on small problems with known answers.

mod a2c;
mod absent;
mod actions;
mod coma;
mod communication;
mod critic;
mod dqn;
mod hierarchy;
mod job_shop;
mod kinds;
mod lqr;
mod meta;
mod normalise;
mod off_policy;
mod ppo;
mod rates;
mod reduce;
mod ssm;
mod supervised;
mod tabular;
mod values;
