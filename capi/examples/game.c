/* A game loop in C whose pendulum is swung up by a trained agent.
 *
 *     synod train pendulum-sac --out runs/pendulum
 *     synod export runs/pendulum -o pendulum.synod
 *     cc game.c $(pkg-config --cflags --libs synod) -lm -o game
 *     ./game pendulum.synod
 *
 * The physics are this program's own: those of the world in which the agent was trained. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "synod.h"

#define PI 3.14159265358979
#define STEPS 200

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, synod_last_error());
    exit(1);
}

/* The game's state: the angle from upright, in radians, and its speed. */
typedef struct pendulum {
    double angle, speed;
} pendulum;

static void move(pendulum *of, double torque) {
    of->speed += (15.0 * sin(of->angle) + 3.0 * torque) * 0.05;
    of->speed = fmax(-8.0, fmin(8.0, of->speed));
    of->angle += of->speed * 0.05;
}

int main(int count, char **arguments) {
    synod_team *team = NULL;
    synod_session *session = NULL;
    synod_sizes sizes;
    synod_step step = {0};
    pendulum game = {PI, 0.0};
    float seen[3], torque[1];
    double cost = 0.0;
    int i;
    if (count != 2) {
        fprintf(stderr, "usage: %s TEAM\n", arguments[0]);
        return 2;
    }
    if (synod_abi_version() != SYNOD_ABI_VERSION) {
        fprintf(stderr, "this program was made for another version of the library\n");
        return 1;
    }
    if (synod_team_load(arguments[1], NULL, &team) != SYNOD_OK) fail(arguments[1]);
    if (synod_team_sizes(team, &sizes) != SYNOD_OK) fail("sizes");
    if (sizes.agents != 1 || sizes.observation != 3 || sizes.floats != 1 || sizes.integers != 0) {
        fprintf(stderr, "%s is no team for a pendulum\n", arguments[1]);
        return 1;
    }
    if (synod_session_new(team, 1, 0, 0, &session) != SYNOD_OK) fail("session");
    step.observations = seen;
    step.observations_length = 3;
    step.continuous = torque;
    step.continuous_length = 1;
    step.greedy = 1;
    for (i = 0; i < STEPS; i++) {
        double turned = fmod(fmod(game.angle + PI, 2 * PI) + 2 * PI, 2 * PI) - PI;
        seen[0] = (float)cos(game.angle);
        seen[1] = (float)sin(game.angle);
        seen[2] = (float)game.speed;
        if (synod_session_act(session, &step) != SYNOD_OK) fail("act");
        cost += turned * turned + 0.1 * game.speed * game.speed + 0.001 * torque[0] * torque[0];
        move(&game, torque[0]);
        if (i % 10 == 0) printf("%3d  angle %+.2f  torque %+.2f  %*s\n", i, turned, torque[0], (int)(20 + 15 * sin(turned)), "o");
    }
    printf("cost of %d steps: %.1f\n", STEPS, cost);
    synod_session_free(session);
    synod_team_free(team);
    return 0;
}
