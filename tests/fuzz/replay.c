/* Runs a fuzz target over the files of its corpus folder: the arguments are files in that folder.
 */
#include <dirent.h>
#include <libgen.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        perror(path);
        return 1;
    }
    static uint8_t data[1 << 22];
    size_t size = fread(data, 1, sizeof(data), in);
    (void)fclose(in);
    (void)LLVMFuzzerTestOneInput(data, size);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return 2;
    }
    const char *folder = dirname(argv[1]);
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        perror(folder);
        return 1;
    }
    int failed = 0, count = 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            char path[4096];
            (void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
            failed |= replay(path);
            count++;
        }
    }
    (void)closedir(dir);
    return failed != 0 || count == 0;
}
