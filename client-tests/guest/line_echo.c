// The other end of a character line: sends back what comes, every byte in its turn.
//
//   line_echo PATH      PATH is a UNIX socket or a terminal

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int open_line(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int line = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (line >= 0)
        return line;
    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    line = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (line < 0 || connect(line, (struct sockaddr *)&address, sizeof(address)) != 0)
        return -1;
    return line;
}

int main(int argc, char **argv)
{
    char bytes[65536];
    ssize_t count, done, written;
    int line;

    if (argc != 2) {
        fprintf(stderr, "usage: line_echo PATH\n");
        return 2;
    }
    line = open_line(argv[1]);
    if (line < 0) {
        perror(argv[1]);
        return 1;
    }
    while ((count = read(line, bytes, sizeof(bytes))) > 0) {
        for (done = 0; done < count; done += written) {
            written = write(line, bytes + done, count - done);
            if (written <= 0)
                return 1;
        }
    }
    return count < 0;
}
