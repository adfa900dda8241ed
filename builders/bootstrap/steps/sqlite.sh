. "$HERE/common.sh"
use_musl_compiler

unpack 'sqlite3_*.orig.tar.xz'
./configure --build="$TRIPLET" --prefix=/usr --disable-tcl --disable-readline
make sqlite3.c sqlite3.h sqlite3.pc
# -O1: the amalgamation is one file of 8 MB, and this is the step that others wait for.
gcc -O1 -fPIC -DSQLITE_THREADSAFE=1 -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_COLUMN_METADATA \
    -DSQLITE_ENABLE_MATH_FUNCTIONS -c sqlite3.c
ar rcs libsqlite3.a sqlite3.o
install -D -m 644 -t "$OUT/usr/include" sqlite3.h src/sqlite3ext.h
install -D -m 644 -t "$OUT/usr/lib" libsqlite3.a
install -D -m 644 -t "$OUT/usr/lib/pkgconfig" sqlite3.pc
