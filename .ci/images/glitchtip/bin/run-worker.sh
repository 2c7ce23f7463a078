#!/bin/sh
exec ./manage.py runworker
