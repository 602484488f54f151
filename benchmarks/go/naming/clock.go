package main

import "golang.org/x/sys/unix"

// now returns the nanoseconds of the clock that Python calls time.monotonic_ns: all processes of a
// machine share it, which time.Now's has no way to tell.
func now() int64 {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &at); err != nil {
		panic(err)
	}
	return at.Nano()
}
