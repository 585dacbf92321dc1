/* Linked into stand-ins that show what is left of the sandbox when its filter of system calls fails
 * (-Wl,--wrap=seccomp_load). */
int __wrap_seccomp_load(const void *filter);
int __wrap_seccomp_load(const void *filter) {
    (void)filter;
    return 0;
}
