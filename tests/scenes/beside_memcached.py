#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What farpaged answers beside what Debian's memcached 1.6.18 answers to the same bytes.

  beside_memcached.py FARPAGED NAME     plays a scene
  beside_memcached.py FARPAGED walks N  so many random walks, from the seed FARPAGE_SEED on

All must be the same byte for byte but for cas numbers, which only must differ where the other's do,
and times left, of which seconds may pass. Where the answers differ on purpose DIFFERENT has both,
and why: 1.6.45 does (`1.6.45`), or we do; docs/protocol.md names the latter.
"""
import os
import random
import re
import shutil
import sys
import threading

from running import Server

SKIPPED = 77
CAS = re.compile(rb"(?m)^(VALUE \S+ \d+ \d+ )(\d+)(?=\r$)|^((?:HD|VA|EX|NF|NS|EN)\b[^\r]* c)(\d+)"
                 rb"|^(ME .* cas=)(\d+)")
TIME = re.compile(rb"(?m)(^(?:HD|VA)\b[^\r]* t)(\d+)")
VALUE = "v" * 100

# --- what is the same -----------------------------------------------------------------------------
# One connection each, with keys of its own; {cas K} is the cas that K has before.

SAME = r"""
get none\r\ngets none none\r\n
set a 5 0 3\r\nabc\r\nget a\r\ngets a\r\nget a b a\r\n
set a 0 0 0\r\n\r\nget a\r\n
add b 1 0 1\r\nx\r\nadd b 2 0 1\r\ny\r\nget b\r\n
replace c 0 0 1\r\nx\r\nset c 0 0 1\r\nx\r\nreplace c 7 0 2\r\nyz\r\nget c\r\n
append d 0 0 1\r\nx\r\nprepend d 0 0 1\r\nx\r\nset d 3 0 1\r\nm\r\nappend d 9 0 1\r\nz\r\nprepend d 9 0 1\r\na\r\nget d\r\n
cas e 0 0 1 1\r\nx\r\nset e 0 0 1\r\nx\r\ncas e 0 0 1 999999\r\ny\r\ncas e 0 0 1 0\r\ny\r\nget e\r\n
set e2 0 0 1\r\nx\r\n
cas e2 0 0 1 {cas e2}\r\ny\r\nget e2\r\ncas e2 0 0 1 {cas e2}\r\nz\r\n
delete f\r\nset f 0 0 1\r\nx\r\ndelete f 0\r\ndelete f\r\nset f 0 0 1\r\nx\r\ndelete f noreply\r\nget f\r\n
delete f 0 noreply\r\nset f 0 0 1\r\nx\r\ndelete f 0 noreply\r\nget f\r\n
incr g 1\r\ndecr g 1\r\nset g 0 0 1\r\n9\r\nincr g 1\r\nincr g 90\r\ndecr g 91\r\nget g\r\ndecr g 100\r\nget g\r\n
set g 0 0 20\r\n18446744073709551615\r\nincr g 2\r\nget g\r\nincr g 18446744073709551615\r\n
set g 0 0 1\r\nx\r\nincr g 1\r\nset g 0 0 0\r\n\r\nincr g 1\r\nset g 0 0 3\r\n1.5\r\nincr g 1\r\nset g 0 0 2\r\n12\r\nincr g x\r\nincr g -1\r\nincr g 18446744073709551616\r\nincr g 007\r\nget g\r\n
set g 0 0 30\r\n1                             \r\nincr g 9\r\nget g\r\n
set g 0 0 1\r\n1\r\nincr g 1 noreply\r\nget g\r\ndecr g 1 noreply\r\nget g\r\n
touch h 10\r\nset h 0 0 1\r\nx\r\ntouch h 10\r\ntouch h x\r\ntouch h 10 noreply\r\ntouch h -1\r\nget h\r\n
gat 10 h2\r\nset h2 0 0 1\r\nx\r\ngat 10 h2\r\ngats 10 h2 h2\r\ngat 0 none h2\r\ngat x h2\r\nmg h2 t\r\ngat -1 h2\r\nget h2\r\n
set i 0 -1 1\r\nx\r\nget i\r\nset i 0 1 1\r\nx\r\nget i\r\nset i 0 2592000 1\r\nx\r\nget i\r\nset i 0 2592001 1\r\nx\r\nget i\r\n
set j 4294967295 0 1\r\nx\r\nget j\r\n
set k 0 0 1 noreply\r\nx\r\nget k\r\nadd k 0 0 1 noreply\r\ny\r\nreplace k 0 0 1 noreply\r\nz\r\nget k\r\nappend k 0 0 1 noreply\r\na\r\nprepend k 0 0 1 noreply\r\nb\r\nget k\r\ncas k 0 0 1 1 noreply\r\nq\r\nget k\r\n
set l 0 0 3\r\nab\r\nget l\r\n
set l 0 0 1\r\nabcdefg\r\nget l\r\n
set l 0 0 3 noreply\r\nabcdefgh\r\nmn\r\nmn\r\n
set l 0 0 -1\r\nget l\r\n
set l 0 0 4294967295\r\nget l\r\n
set l 0 0 2147483647\r\nget l\r\n
set l 0 0 x\r\nget l\r\n
set {"k" * 250} 0 0 1\r\nx\r\nget {"k" * 250}\r\nget {"k" * 251}\r\ndelete {"k" * 251}\r\nincr {"k" * 251} 1\r\ntouch {"k" * 251} 1\r\n
get a {"k" * 251} a\r\n
set m 0 0 1\nx\r\nget m\n
set   m   0   0   1  \r\ny\r\nget   m  \r\n
get {"k " * 2000}\r\n
gets {" ".join("k%d" % i for i in range(5000))}\r\n
set n 0 0 2000000\r\n{"x" * 2000000}\r\nget n\r\nset n 0 0 1\r\nx\r\nset n 0 0 2000000\r\n{"x" * 2000000}\r\nget n\r\nset n 0 0 2000000 noreply\r\n{"x" * 2000000}\r\nmn\r\n
set n 0 0 1\r\nx\r\nadd n 0 0 2000000\r\n{"x" * 2000000}\r\nget n\r\n
set n2 0 0 600000\r\n{"x" * 600000}\r\nappend n2 0 0 600000\r\n{"x" * 600000}\r\nprepend n2 0 0 600000\r\n{"x" * 600000}\r\nms n2 600000 MA c\r\n{"x" * 600000}\r\nmg n2 s\r\n
ms L 300000 T60 F7 k Oxy\r\n{"xy" * 150000}\r\nmg L s f t k v\r\nms L 200000 MA\r\n{"z" * 200000}\r\nmg L v Oab\r\nms L 200000 MP C1\r\n{"z" * 200000}\r\nms L 9 MP k\r\n123456789\r\nmg L v q k\r\nma L\r\nmd L I\r\nmg L v\r\n
ms L 300000 C{cas L} I q\r\n{"q" * 300000}\r\nmg L s v\r\nms L 300000 ME\r\n{"q" * 300000}\r\nmd L q\r\nmg L v\r\nms L 300000 MA\r\n{"q" * 300000}\r\nms L 100000 q\r\n{"q" * 100007}\r\nmn\r\n
nonsense\r\nGET a\r\nSET a 0 0 1\r\n
GET / HTTP/1.1\r\nget a\r\n
verbosity 1\r\nverbosity x\r\nverbosity 1 noreply\r\n
flush_all x\r\nflush_all x noreply\r\nflush_all 99999 noreply\r\n
set q 0 0 1\r\nx\r\nquit\r\nget q\r\n
mn\r\nmn x\r\nget none\r\nmn\r\n
mg none\r\nmg none v\r\nmg none k Oabc\r\nmg none q\r\nmg none q k\r\nmn\r\n
ms o 2\r\nhi\r\nmg o\r\nmg o v\r\nmg o s v f t k O123 c\r\nmg o h\r\n
ms o 2 T30 F7 c k Oxy\r\nhi\r\nmg o t f v\r\nmg o c\r\n
ms o 2 q\r\nhi\r\nmg o v q\r\nms o 2 q k\r\nho\r\nmn\r\n
ms o 2 ME\r\nhi\r\nms o 2 ME q\r\nhi\r\nms o2 2 ME\r\nhi\r\nms none 2 MR\r\nhi\r\nms o 2 MR\r\nha\r\nms none 2 MA\r\nhi\r\nms none 2 MP\r\nhi\r\nms o 2 MA\r\nhi\r\nms o 2 MP k\r\nho\r\nms o 2 MS\r\nhi\r\nmg o v\r\n
ms o 2 C1\r\nhi\r\nms o 2 C1 c k O1\r\nhi\r\nms o 2 C0 c\r\nhi\r\nms none 2 C1 k\r\nhi\r\nms none 2 C1 MR\r\nhi\r\nms o 2 C1 MR\r\nhi\r\nms o 2 C1 ME\r\nhi\r\nms none 2 C1 ME\r\nhi\r\nms o 2 C1 MA\r\nhi\r\nms none9 2 C1 MA\r\nhi\r\n
ms o3 2\r\nhi\r\n
ms o3 2 C{cas o3} c\r\nho\r\nmg o3 v c\r\n
ms o3 2 C{cas o3} MA\r\nho\r\nmg o3 v c\r\n
ms o3 2 C{cas o3} MR\r\nhi\r\nmg o3 v c\r\n
md none\r\nmd none q\r\nmd none k Oq\r\nms p 2\r\nhi\r\nmd p C1\r\nmd p C1 q\r\nmd p C0\r\nmd p k O1\r\nmg p\r\nms p 2\r\nhi\r\nmd p q\r\nmg p\r\n
ms p 2\r\nhi\r\n
md p C{cas p}\r\nmg p\r\n
ms p 2 T90\r\nhi\r\nmd p I T30\r\nmg p s t v\r\nmg p s t v\r\nmg p\r\nms p 2\r\nho\r\nmg p t v\r\n
ms p 2\r\nhi\r\nmd p I q\r\nget p\r\nmg p\r\nmd p I\r\nmg p\r\nmg p\r\n
ms p3 2\r\nhi\r\nmd p3 I T30\r\nmg p3\r\nms p3 2 I C1 T90\r\nho\r\nmg p3 v t\r\nms p3 2 I C99999999 T90\r\nho\r\n
ms p3 2 I C{cas p3} T90\r\nhu\r\nmg p3 v t\r\n
mg r N30 v t\r\nmg r N30 v t\r\nms r 2 T90\r\nhi\r\nmg r N30 v t\r\nmg r R30 v t\r\nmg r R100 v t\r\nmg r R100 v t\r\nms r 2\r\nhi\r\nmg r R100\r\n
mg r2 N0 t\r\nmg r3 t N30\r\nmg r4 N30 T60 t\r\nmg r4 t\r\nmg r5 T60 N30 t\r\nmg r5 t\r\n
ms r6 2 T60\r\nhi\r\nmg r6 T90 t\r\nmg r6 t T30\r\nmg r6 R60 T90 t\r\nms r6 2 T30\r\nhi\r\nmg r6 T90 R60 t\r\nmg r6 T0 t\r\nmg r6 T-1\r\nmg r6\r\n
ms n1 1\r\n5\r\nma n1\r\nma n1 v\r\nma n1 t v k O1\r\nma n1 D10 v\r\nma n1 MI v\r\nma n1 M+ D2 v\r\nma n1 MD v\r\nma n1 M- D5 v\r\nma n1 MD D1000 v\r\nmg n1 v\r\n
ma n1 q\r\nma n1 q v\r\nmg n1 v\r\n
ma n2\r\nma n2 q\r\nma n2 k O1\r\nma n2 N0 v t\r\nma n2 v\r\nma n3 N30 J13 v t\r\nma n3 N60 J13 v t\r\nma n4 t N30\r\n
ma n6 N0 J18446744073709551615 v\r\nma n6 v\r\nmg n6 v\r\nma n6 MD v\r\n
ms n7 1\r\n5\r\nma n7 C1\r\nma n7 C0 v\r\nma n7 C99999999 k O1\r\nms n7 1\r\nx\r\nma n7\r\nma n7 q\r\nma n7 C99999\r\nms n7 0\r\n\r\nma n7 C99999\r\n
ms n8 1 T30\r\n5\r\nma n8 T60 t v\r\nmg n8 t\r\n
ma n8 t T90\r\nmg n8 t\r\n
mg a v v\r\nmg a !\r\nmg a y\r\nmg a Tx\r\nmg a T\r\nmg a Nx\r\nmg a Rx\r\nmg a Fx\r\nmg a Fx Tx\r\nmg a Tx Fx\r\nmg a Tx y\r\nmg a v S\r\n
mg a q Tx\r\nms a 2 Tx\r\nhi\r\nms a 2 q Tx\r\nhi\r\nms a 2 Fx\r\nhi\r\nms a 2 y\r\nhi\r\nms a 2 v v\r\nhi\r\nms a 2 MX\r\nhi\r\nmn\r\n
ma a Dx\r\nma a Jx\r\nma a MX\r\nma a v v\r\nma a y\r\nma a Cx\r\nms a 2 Cx\r\nhi\r\nms a 2 C-1\r\nhi\r\nms a 2 C18446744073709551616\r\nhi\r\nmg a \x80\r\nmg a \xff v\r\n
ms a -1\r\nms a 2147483647\r\nms a x\r\nms a\r\n
ms a 5\r\nabcd\r\nnonsense\r\nmn\r\n
ms a 1\r\nabcdefg\r\nmn\r\nmn\r\n
ms a 1 q\r\nabcdefg\r\nmn\r\nmn\r\n
mg a O{"1" * 31}\r\nmg a O{"1" * 32}\r\nms a 2 O{"1" * 32}\r\nhi\r\nmd a O{"1" * 32}\r\nms a 2 O{"1" * 31}\r\nhi\r\n
mg a a b c d e f g h i j k l m n o p q r s t u v w x y z\r\n
mg {"k" * 251} v\r\nmd {"k" * 251}\r\nme {"k" * 251}\r\nmg {"k" * 250} v\r\n
ms Zm9v 3 b k c\r\nabc\r\nmg Zm9v b k v\r\nmg foo k v\r\nget foo\r\nmd Zm9v b k O1\r\nmg Zm9v b k\r\nms foo 1\r\nx\r\nmg Zm9v b k v\r\nms Zm9v 1 b ME\r\ny\r\nmd Zm9v b\r\nma Zm9v b k\r\n
ms AAECAw== 3 b k\r\nabc\r\nmg AAECAw== b k v\r\nma AAECBA== b N0 k v\r\nmd AAECBA== b k\r\n
mg Zm9 b\r\nmg Z=== b\r\nmg ==== b\r\nmg Zm-v b\r\nms Zm9 2 b\r\nhi\r\nmg Zh== b k\r\nmg !!! b Tx\r\nmg !!! b Fx\r\nmg !!! Fx b\r\nmg !!! b v v\r\n
mg {"A" * 248} b k\r\nmg {"A" * 252} b k\r\n
ms a 2 P1 L2\r\nhi\r\nmg a P L v I\r\nmg a J5 D6 MI C1\r\n
ms s 2000000\r\n{"x" * 2000000}\r\nmg s\r\nms s 1\r\nx\r\nms s 2000000 ME q\r\n{"x" * 2000000}\r\nmg s\r\n
me none\r\nme none b\r\n
ms u 2\r\nhi\r\nmg u h u\r\nmg u h u\r\nmg u h\r\nmg u h u\r\nmg u h\r\n
ms w 2\r\nhi\r\nmd w I\r\nappend w 0 0 1\r\nx\r\nmg w v\r\nmd w I\r\ntouch w 0\r\nmg w v\r\nmd w I\r\nset w 0 0 1\r\n8\r\nmg w v\r\nmd w I\r\n
incr w 1\r\nmg w v\r\n
md w I\r\nincr w 1\r\nmg w v\r\n
"""

# --- what is not ----------------------------------------------------------------------------------
# (why, sent, each line by a connection of its own, what memcached 1.6.18 answers (None: never mind),
# what we answer)

BAD = r"CLIENT_ERROR bad command line format\r\n"
BAD_TOKEN = r"CLIENT_ERROR bad token in command line format\r\n"
DIFFERENT = [
    ("1.6.45: a cas without its number is one error, and its value is swallowed",
     r"cas a 0 0 6 \r\nvalue2\r\n", r"ERROR\r\nERROR\r\n", BAD),
    ("1.6.45: what lacks its key or number is badly formed, not unknown",
     r"mg\r\nmd\r\nma\r\nms\r\nget\r\ntouch k\r\nincr k\r\ndelete\r\nverbosity\r\n",
     r"ERROR\r\n" * 9, BAD * 9),
    ("1.6.45: so is a gat without a key", r"gat 0\r\n", r"END\r\n", BAD),
    ("1.6.45: a line of fewer than four bytes is badly formed",
     r"\r\n \r\nx\r\nmn\n", r"ERROR\r\n" * 3 + r"MN\r\n", BAD * 4),
    ("1.6.45: what is wrong before a value costs that value, too",
     r"set k x 0 6\r\nvalue2\r\nset k 0 x 6\r\nvalue2\r\n"
     r"set {'k' * 251} 0 0 6\r\nvalue2\r\nms {'k' * 251} 6\r\nvalue2\r\n",
     (BAD + r"ERROR\r\n") * 4, BAD * 4),
    ("1.6.45: an unknown command is silenced, too", r"nonsense noreply\r\n", r"ERROR\r\n", ""),
    ("1.6.45: whatever follows the key of a delete is ignored",
     r"set k 0 0 1\r\nx\r\ndelete k 10\r\n",
     r"STORED\r\nCLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n",
     r"STORED\r\nDELETED\r\n"),
    ("1.6.45: ms shows the length that is stored", r"ms k 2 s\r\nhi\r\nms k 1 MA s\r\n!\r\n",
     r"HD\r\n" * 2, r"HD s2\r\nHD s3\r\n"),
    ("1.6.45: E gives a cas", r"ms k 2 E77 c\r\nhi\r\nmg k c\r\n",
     r"CLIENT_ERROR invalid flag\r\nHD c#1\r\n", r"HD c#1\r\nHD c#1\r\n"),
    ("1.6.45: x takes a value away and leaves the item",
     r"ms k 2 F5 T60\r\nhi\r\nmd k x\r\nmg k v f t\r\n",
     r"HD\r\nCLIENT_ERROR invalid or duplicate flag\r\nVA 2 f5 t60\r\nhi\r\n",
     r"HD\r\nHD\r\nVA 0 f0 t-1\r\n\r\n"),
    ("1.6.45: an append may create, with N", r"ms k8 2 MA N60\r\nhi\r\nmg k8 v t\r\n",
     r"NS\r\nEN\r\n", r"HD\r\nVA 2 t60\r\nhi\r\n"),
    ("1.6.45: q silences an ma that creates, too", r"ma n10 N30 q\r\nmg n10 v\r\n",
     r"HD\r\nVA 1\r\n0\r\n", r"VA 1\r\n0\r\n"),
    ("1.6.45: with the item's cas mg leaves its value out",
     "ms k7 2\\r\\nhi\\r\\n\nmg k7 v c C{cas k7}\\r\\n", None, r"HD\r\nHD c#1\r\n"),
    ("1.6.45: of M only the first letter counts; it has no length to be wrong",
     r"ms k 2 MSET\r\nhi\r\nmg k M\r\n", r"CLIENT_ERROR incorrect length for M token\r\n" * 2,
     r"HD\r\nHD\r\n"),
    ("1.6.45: md says what is wrong with its flags", r"md k v v\r\nmd k Zm9 b\r\nmd Zm9 b\r\n",
     r"CLIENT_ERROR invalid or duplicate flag\r\n" * 3,
     r"CLIENT_ERROR duplicate flag\r\nCLIENT_ERROR invalid flag\r\n"
     r"CLIENT_ERROR error decoding key\r\n"),
    ("1.6.45: too many flags of ms are told as those of others, and the value is swallowed",
     r"ms k 2 a b c d e f g h i j k l m n o p q r s\r\nhi\r\n",
     r"CLIENT_ERROR options flags too long\r\nERROR\r\n",
     r"CLIENT_ERROR options flags are too long\r\n"),
    ("a number beyond 32 bits is refused, not taken modulo 2^32",
     r"set k 4294967296 0 1\r\nx\r\nms k 1 F4294967296\r\nx\r\nms k 1 T4294967297\r\nx\r\n",
     r"STORED\r\nHD\r\nHD\r\n", BAD * 2 + BAD_TOKEN),
    ("a wrong opaque is told before anything is done", r"ms k 1\r\nx\r\nma k O{'1' * 32}\r\n",
     r"HD\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
     r"HD\r\nCLIENT_ERROR opaque token too long\r\n"),
    ("what is not base64 makes the key a wrong one", r"mg Zm9v! b k\r\n", r"EN kZm9v b\r\n",
     r"CLIENT_ERROR error decoding key\r\n"),
    ("an item that mg or ma makes is shown by the key it was asked by",
     r"mg AAEE b N0 k\r\nma AAEF b N0\r\nmg AAEF b k\r\n",
     r"HD k\0\1\4 W\r\nHD\r\nHD k\0\1\5\r\n", r"HD kAAEE b W\r\nHD\r\nHD kAAEF b\r\n"),
    ("only blanks may follow a number; memcached overwrites what does",
     r"ms k 7\r\n5 waffles\r\nma k v\r\nmg k v\r\n".replace("7", "9"),
     r"HD\r\nVA 1\r\n6\r\nVA 9\r\n6        \r\n",
     r"HD\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
     r"VA 9\r\n5 waffles\r\n"),
    ("a new time is kept also where the number becomes longer",
     r"ms k 1 T30\r\n9\r\nma k T60\r\nmg k t\r\n", r"HD\r\nHD\r\nHD t30\r\n",
     r"HD\r\nHD\r\nHD t60\r\n"),
]


def answers(server, sent):
    """All that a connection of its own is told."""
    said = b""
    with server.connect("tcp") as s:
        def send():
            try:
                s.sendall(sent)
                s.shutdown(1)
            except OSError:
                pass  # the server may close while we speak
        sender = threading.Thread(target=send)
        sender.start()
        try:
            while got := s.recv(1 << 20):
                said += got
        except ConnectionError:
            pass
        sender.join()
    return said


def bytes_of(text, server):
    def fill(match):
        if match[1].startswith("cas "):
            said = answers(server, f"gets {match[1][4:]}\r\n".encode())
            return said.split(b"\r\n")[0].split()[-1].decode()
        return str(eval(match[1]))  # our own file
    return re.sub(r"\{([^{}]*)\}", fill, text).encode().decode("unicode_escape").encode("latin-1")


def plain(said):
    """With cas numbers by the order in which they came, and times left in tens of seconds."""
    seen = {b"0": b"0"}

    def name(match):
        groups = [group for group in match.groups() if group is not None]
        return groups[0] + seen.setdefault(groups[1], b"#%d" % len(seen))
    def time_left(match):
        seconds = int(match[2])
        if seconds >= 1 << 31:
            seconds = 0  # memcached goes below it for what expires with this request
        return match[1] + b"%d0" % ((seconds + 5) // 10)
    return TIME.sub(time_left, CAS.sub(name, said))


def shown(said):
    return said if len(said) < 1500 else said[:700] + b"..." + said[-700:]


def compare(ours, theirs, text, problems):
    sent = bytes_of(text, theirs), bytes_of(text, ours)
    want, got = plain(answers(theirs, sent[0])), plain(answers(ours, sent[1]))
    if want != got:
        problems.append(f"sent:      {shown(sent[1])!r}\nmemcached: {shown(want)!r}\n"
                        f"farpaged:  {shown(got)!r}")


def answers_are_memcacheds(ours, theirs):
    problems = []
    for text in SAME.strip().splitlines():
        compare(ours, theirs, text, problems)
    assert not problems, "\n\n".join(problems)


def answers_differ_where_they_must(ours, theirs):
    problems = []
    for why, text, want, got in DIFFERENT:
        for server, expected in (theirs, want), (ours, got):
            said = plain(b"".join(answers(server, bytes_of(part, server))
                                  for part in text.split("\n")))
            if expected is not None and said != bytes_of(expected, server):
                problems.append(f"{why}\n{'memcached' if server is theirs else 'farpaged'}: {said!r}"
                                f"\nnot {bytes_of(expected, server)!r}")
    assert not problems, "\n\n".join(problems)


# --- what is counted ------------------------------------------------------------------------------

COUNTED = r"""
gat 30 k\r\n
gat 30 none\r\n
get k none\r\n
touch k 30\r\n
touch none 30\r\n
mg k\r\n
mg none\r\n
mg k T30\r\n
mg none T30\r\n
mg made N30\r\n
mg k R90 v\r\n
set k 0 0 1\r\n1\r\n
append k 0 0 1\r\n2\r\n
cas k 0 0 1 1\r\nx\r\n
cas none 0 0 1 1\r\nx\r\n
ms k 1\r\n1\r\n
ms k 1 ME\r\nx\r\n
ms k 1 MA\r\n2\r\n
ms k 1 C1\r\nx\r\n
ms none 1 C1\r\nx\r\n
incr k 1\r\n
incr none 1\r\n
decr k 1\r\n
decr none 1\r\n
ma k\r\n
ma none\r\n
ma k C1\r\n
ma k MD\r\n
ma none MD\r\n
ma made2 N0\r\n
me k\r\n
me none\r\n
md k C1\r\n
md none\r\n
md k I\r\n
md k\r\n
delete none\r\n
delete made\r\n
set k 0 0 1\r\n1\r\n
set k 0 0 2000000\r\n{"x" * 2000000}\r\n
ms k 1\r\n1\r\n
ms k 2000000\r\n{"x" * 2000000}\r\n
flush_all 100\r\n
"""
COUNTERS = """cmd_get cmd_set cmd_flush cmd_touch cmd_meta get_hits get_misses delete_misses delete_hits
incr_misses incr_hits decr_misses decr_hits cas_misses cas_hits cas_badval touch_hits touch_misses
store_too_large store_no_memory curr_items""".split()


def counters(server):
    lines = (line.split(b" ") for line in answers(server, b"stats\r\n").splitlines())
    found = {line[1].decode(): line[2] for line in lines if line[0] == b"STAT"}
    return {name: int(found[name]) for name in COUNTERS}


def counts_are_memcacheds(ours, theirs):
    for server in (ours, theirs):
        answers(server, b"set k 0 0 1\r\n1\r\n")
    for text in COUNTED.strip().splitlines():
        counted = []
        for server in (theirs, ours):
            before = counters(server)
            answers(server, bytes_of(text, server))
            after = counters(server)
            counted.append({name: after[name] - before[name] for name in COUNTERS
                            if after[name] != before[name]})
        assert counted[0] == counted[1], f"{text[:60]}\nmemcached: {counted[0]}\nfarpaged:  " \
                                         f"{counted[1]}"


# --- random walks ---------------------------------------------------------------------------------
# What is known to differ is not walked into. memcached changes a number in its place unless
# somebody happens to be reading it; else it forgets that it was stale, won or read, its new time,
# and the length it had. So a walk either counts or has such marks, and none counts down.

KEYS = ["a", "b", "c", "Zm9v", "n"]
CLASSIC = ["get", "gets", "set", "set", "add", "replace", "append", "prepend", "cas", "delete",
           "touch", "gat"]
MARKS = {"mg": "h N0 N60 N600 R30 R600", "ms": "I", "md": "I I", "ma": ""}
FLAGS = {"mg": "b c f k q s t u v O1 Oxyz T0 T60 T600 T-1 P L",
         "ms": "b c k q O1 C0 C1 C999999999 F5 MA ME MP MR MS T0 T60 T600 T-1",
         "md": "b k q O1 C0 C1 T60 T0",
         "ma": "b k v t c O1 N0 N60 J5 J99 D1 D9 D100 MI M+ C0 C999999999"}
WALK_STEPS = 100


class Walker:
    """Makes commands; a conversation is one of them and what it is answered."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        marks = self.rng.random() < 0.5
        self.verbs = CLASSIC + ([] if marks else ["incr"])
        self.metas = ["mg", "mg", "ms", "md"] + ([] if marks else ["ma"])
        self.flags = {verb: flags.split() + (MARKS[verb].split() if marks else [])
                      for verb, flags in FLAGS.items()}

    def classic(self):
        pick = self.rng.choice
        verb, key = pick(self.verbs), pick(KEYS)
        quiet = pick(("", "", "", " noreply"))
        if verb in ("get", "gets"):
            return f"{verb} {key} {pick(KEYS)}\r\n"
        if verb == "gat":
            return f"gat {pick((0, 60, -1))} {key}\r\n"
        if verb == "touch":
            return f"touch {key} {pick((0, 60, 600, -1))}{quiet}\r\n"
        if verb == "incr":
            return f"incr {key} {pick((0, 1, 9, 100))}{quiet}\r\n"
        if verb == "delete":
            return f"delete {key}{quiet}\r\n"
        value = pick(("", "1", "9", "99", "100", "text"))
        cas = f" {pick((0, 1, 999999999))}" if verb == "cas" else ""
        return (f"{verb} {key} {pick((0, 5))} {pick((0, 0, 60, -1))} {len(value)}{cas}"
                f"{quiet}\r\n{value}\r\n")

    def meta(self):
        pick = self.rng.choice
        verb, flags, letters = pick(self.metas), [], set()
        for _ in range(self.rng.randrange(7)):
            flag = pick(self.flags[verb])
            twice = self.rng.random() < 0.02 and verb != "md"  # which has a text of its own
            if flag[0] not in letters or twice:
                letters.add(flag[0])
                flags.append(flag)
        value = pick(("", "1", "9", "99", "text"))
        key = "Zm9v" if "b" in letters else pick(KEYS)
        size = f" {len(value)}" if verb == "ms" else ""
        line = " ".join([verb, key + size, *flags]) + "\r\n"
        return line + (value + "\r\n" if verb == "ms" else "")

    def step(self):
        return self.rng.choice((self.classic, self.meta))().encode()


def talk(server, steps):
    """What each step is answered, one after the other."""
    said = []
    with server.connect("tcp") as s:
        for step in steps:
            s.sendall(step + b"mn\r\n")
            answer = b""
            while not answer.endswith(b"MN\r\n"):
                answer += s.recv(65536)
            said.append(answer)
    return said


def walked(said):
    return plain(b"".join(said)).replace(b"kZm9v b", b"kfoo")  # which memcached forgets at times


def walk(ours, theirs, seed, problems):
    walker = Walker(seed)
    steps = [f"delete {key}\r\n".encode() for key in (*KEYS, "foo")]
    steps += [walker.step() for _ in range(WALK_STEPS)]
    want, got = talk(theirs, steps), talk(ours, steps)
    if walked(want) == walked(got):
        return
    for i in range(len(steps)):
        if walked(want[:i + 1]) != walked(got[:i + 1]):
            problems.append(f"seed {seed}: {steps[max(0, i - 12):i + 1]}\n"
                            f"memcached: {want[i]!r}\nfarpaged:  {got[i]!r}")
            return


def random_walks_lead_to_the_same(ours, theirs, walks=40):
    seed, problems = int(os.environ.get("FARPAGE_SEED", "1")), []
    for i in range(walks):
        walk(ours, theirs, seed + i, problems)
    assert not problems, f"{len(problems)} of {walks}\n\n" + "\n\n".join(problems[:3])


def main(farpaged, name, count=""):
    memcached = shutil.which("memcached")
    if memcached is None:
        print("skipped: memcached is not installed")
        return SKIPPED
    with Server(farpaged) as ours, Server(memcached, memcached=True) as theirs:
        if name == "walks":
            random_walks_lead_to_the_same(ours, theirs, int(count))
        else:
            SCENES[name](ours, theirs)
    return 0


SCENES = {scene.__name__: scene for scene in (
    answers_are_memcacheds, answers_differ_where_they_must, counts_are_memcacheds,
    random_walks_lead_to_the_same)}

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
