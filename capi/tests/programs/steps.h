/* Reads what the Rust side recorded: sizes, then for each step what agents saw and what they did. */
#ifndef STEPS_H
#define STEPS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "synod.h"

#define CHECK(what)                                                                       \
    do {                                                                                  \
        if (!(what)) {                                                                    \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #what, synod_last_error()); \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

typedef struct recording {
    uint64_t worlds, agents, steps, seed;
    /* One step after another: observations, masks, present, discrete, continuous. */
    unsigned char *rows;
} recording;

static unsigned char *whole_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    unsigned char *bytes;
    long end;
    CHECK(file != NULL);
    CHECK(fseek(file, 0, SEEK_END) == 0);
    end = ftell(file);
    CHECK(end > 0);
    rewind(file);
    bytes = (unsigned char *)malloc((size_t)end);
    CHECK(bytes != NULL && fread(bytes, 1, (size_t)end, file) == (size_t)end);
    CHECK(fclose(file) == 0);
    *length = (size_t)end;
    return bytes;
}

/* Plays a recording in a session, and checks every action. */
static void play(synod_session *session, const synod_sizes *sizes, const unsigned char *bytes) {
    recording of;
    size_t lanes, step;
    memcpy(&of, bytes, 4 * sizeof(uint64_t));
    bytes += 4 * sizeof(uint64_t);
    lanes = (size_t)(of.worlds * of.agents);
    for (step = 0; step < of.steps; step++) {
        size_t observations = lanes * sizes->observation, masks = lanes * sizes->options;
        size_t discrete = lanes * sizes->integers, continuous = lanes * sizes->floats;
        uint32_t *chosen = (uint32_t *)calloc(discrete + 1, sizeof(uint32_t));
        float *numbers = (float *)calloc(continuous + 1, sizeof(float));
        synod_step now;
        memset(&now, 0, sizeof now);
        now.observations = (const float *)(const void *)bytes;
        now.observations_length = observations;
        bytes += observations * sizeof(float);
        now.masks = (const float *)(const void *)bytes;
        now.masks_length = masks;
        bytes += masks * sizeof(float);
        now.present = bytes;
        now.present_length = lanes;
        bytes += (lanes + 3) / 4 * 4;
        now.discrete = chosen;
        now.discrete_length = discrete;
        now.continuous = numbers;
        now.continuous_length = continuous;
        CHECK(synod_session_act(session, &now) == SYNOD_OK);
        CHECK(memcmp(chosen, bytes, discrete * sizeof(uint32_t)) == 0);
        bytes += discrete * sizeof(uint32_t);
        CHECK(memcmp(numbers, bytes, continuous * sizeof(float)) == 0);
        bytes += continuous * sizeof(float);
        free(chosen);
        free(numbers);
    }
}

#endif
