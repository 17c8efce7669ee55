//! Agents and their trainers on small problems with known answers.

mod communication;
mod critic;
mod dqn;
mod hierarchy;
mod ppo;
