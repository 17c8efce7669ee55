//! How vehicles come to the entries, and what way they want to take.

use super::motion::TRAIL;
use super::network::NONE;
use super::traffic::{LINE, Layout, MOST_WAITING, Traffic, Vehicle};
use super::way::{MOST_TURNS, Turn, Way};
use crate::env::pathfinding::Pcg64;
use crate::env::platoon::MARGIN;

/// Ways that are drawn until one passes no junction twice.
const DRAWS: usize = 64;

impl Layout {
    /// Lets vehicles come to the entries, and in where there is room.
    pub(super) fn arrive(&self, traffic: &mut Traffic, random: &mut Pcg64) {
        let now = traffic.seconds(self);
        for (entry, lane) in self.network.entries().iter().enumerate() {
            while traffic.coming[entry] <= now {
                let due = traffic.coming[entry];
                traffic.coming[entry] += self.pause(entry, random);
                traffic.counts.came += 1;
                let queue = traffic.queues[entry] as usize;
                match queue < MOST_WAITING {
                    true => {
                        traffic.waiting[entry * MOST_WAITING + queue] = due;
                        traffic.queues[entry] += 1;
                    }
                    false => traffic.counts.refused += 1,
                }
            }
            if traffic.queues[entry] == 0 {
                continue;
            }
            let Some(slot) = traffic.vehicles.iter().position(|vehicle| !vehicle.here) else { return };
            // Who came within this step, with nobody in its way, has driven since.
            let due = traffic.waiting[entry * MOST_WAITING];
            let between = if self.every_tick { self.config.tick() } else { self.config.step };
            let since = if now - due < between { now - due } else { 0.0 };
            let fastest = self.network.lane(*lane).limit * self.config.entry_speed;
            let fits = since * fastest < self.network.lane(*lane).length;
            let driven = self.entry_speed(traffic, *lane, since * fastest).filter(|v| fits && *v >= fastest);
            let (speed, offset) = match (driven, self.entry_speed(traffic, *lane, 0.0)) {
                (Some(speed), _) => (speed, since * speed),
                (None, Some(speed)) => (speed, 0.0),
                (None, None) => continue,
            };
            let waiting = &mut traffic.waiting[entry * MOST_WAITING..][..MOST_WAITING];
            waiting.copy_within(1.., 0);
            traffic.queues[entry] -= 1;
            let mut vehicle = Vehicle {
                here: true,
                entry: entry as u16,
                way: self.trip(entry, random),
                lane: *lane,
                offset,
                driven: offset,
                speed,
                arrival: -1.0,
                due,
                pace: 1.0,
                time_gap: self.config.car.time_gap,
                trail: [NONE; TRAIL],
                ..Vehicle::default()
            };
            vehicle.pose = self.behind(&vehicle, self.config.car.length / 2.0);
            traffic.vehicles[slot] = vehicle;
            traffic.look(self);
        }
    }

    /// Seconds between two vehicles that come to an entry.
    pub(super) fn pause(&self, entry: usize, random: &mut Pcg64) -> f64 {
        let demand = self.network.lane(self.network.entries()[entry]).demand.unwrap_or(0.0);
        // Never again, as far as an episode goes.
        if demand > 0.0 { (-(1.0 - random.double()).ln() * 3600.0 / demand).min(1e9) } else { 1e9 }
    }

    /// The speed that a vehicle can have so many metres behind an entry; `None` while there is no room for it.
    fn entry_speed(&self, traffic: &Traffic, lane: u32, offset: f64) -> Option<f64> {
        let car = &self.config.car;
        let fastest = self.network.lane(lane).limit * self.config.entry_speed;
        let junction = self.network.lane(lane).next.first().filter(|next| self.network.is_movement(**next));
        let stops = |metres: f64| (2.0 * car.braking * metres.max(0.0)).sqrt();
        let fastest = junction
            .map_or(fastest, |_| fastest.min(0.9 * stops(self.network.lane(lane).length - LINE - offset)));
        let Some(last) = traffic.on(lane).last().map(|n| &traffic.vehicles[*n as usize]) else {
            return Some(fastest);
        };
        let gap = last.offset - car.length - offset;
        if gap < car.jam_distance {
            return None;
        }
        let safe = stops(gap - MARGIN + last.speed * last.speed / (2.0 * car.braking));
        Some(fastest.min(0.9 * safe).min((gap - car.jam_distance) / car.time_gap))
    }

    /// The way that a vehicle wants to take which comes to an entry. Where there are turning ratios it turns by them
    /// at every junction, and ways that lead over a junction twice are drawn again.
    fn trip(&self, entry: usize, random: &mut Pcg64) -> Way {
        let exits = self.network.destinations(entry);
        let drawn = self.ratios.and_then(|ratios| {
            (0..DRAWS).find_map(|_| self.turned(self.network.entries()[entry], &ratios, random))
        });
        drawn.unwrap_or_else(|| Way::quickest(exits[random.below(exits.len() as u32) as usize]))
    }

    /// A way from a lane on which every turn is drawn; `None` where it comes to a junction again.
    fn turned(&self, from: u32, ratios: &[f64; 3], random: &mut Pcg64) -> Option<Way> {
        let (mut lane, mut way, mut passed) = (from, Way::default(), Vec::new());
        loop {
            let on = self.network.lane(lane);
            let Some(first) = on.next.first() else {
                let exit = self.network.exits().iter().position(|exit| *exit == lane)?;
                return Some(Way { exit: exit as u16, ..way });
            };
            if !self.network.is_movement(*first) {
                lane = *first;
                continue;
            }
            let junction = self.network.lane(*first).junction;
            if passed.contains(&junction) || passed.len() == MOST_TURNS as usize {
                return None;
            }
            // Lanes beside this one belong to the same road.
            let road = || self.network.road(lane);
            let there =
                |turn: Turn| road().map(|l| self.network.lane(l).turns[turn as usize]).find(|m| *m != NONE);
            let weight = |turn: &Turn| there(*turn).map_or(0.0, |_| ratios[*turn as usize]);
            let whole: f64 = Turn::ALL.iter().map(weight).sum();
            let mut left = random.double() * whole;
            let open = || Turn::ALL.into_iter().filter(|turn| there(*turn).is_some());
            let turn = open().find(|turn| {
                left -= weight(turn);
                left < 0.0
            });
            // Where only turns of weight 0 are open the first of them.
            let turn = turn.or_else(|| open().next())?;
            way = way.turning(passed.len() as u32, turn);
            passed.push(junction);
            lane = self.network.lane(there(turn)?).next[0];
        }
    }
}
