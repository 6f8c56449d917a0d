<?php
// SPDX-License-Identifier: Apache-2.0
// Piwigo's side of the plugin Piwigo AI: its calls with curl as PHP makes them, and, under `php -S`, the page that takes results.

if (PHP_SAPI === 'cli-server') {
    // ws.php?format=json&method=pwg.ai.analyze
    $taken = $_GET['method'] === 'pwg.ai.analyze' && hash_equals(getenv('ACCOUNT'), $_POST['account_id'] ?? '')
        && filter_var($_POST['cost'] ?? '', FILTER_VALIDATE_INT, ['options' => ['min_range' => 0]]) !== false;
    file_put_contents(getenv('TAKEN'), json_encode($_POST) . "\n", FILE_APPEND);
    header('Content-Type: text/plain');
    echo json_encode($taken ? ['stat' => 'ok', 'result' => 'Ticket updated'] : ['stat' => 'fail', 'err' => 401]);
    return;
}

[, $server, $key, $version, $photo, $callback] = $argv;

function call(string $path, array $options, int $seconds)
{
    global $server, $key, $version;
    $curl = curl_init($server . $path);
    curl_setopt_array($curl, $options + [
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => $seconds,
        CURLOPT_USERAGENT => 'PiwigoAI',
        CURLOPT_HTTPHEADER => ['X-API-KEY: ' . $key, 'X-PLUGIN-VERSION: ' . $version],
        CURLOPT_SSL_VERIFYPEER => true,
        CURLOPT_SSL_VERIFYHOST => 2,
    ]);
    return json_decode(curl_exec($curl), true);
}

function post(string $path, array $value)
{
    global $key, $version;
    $headers = ['X-API-KEY: ' . $key, 'X-PLUGIN-VERSION: ' . $version, 'Content-Type: application/json'];
    $options = [CURLOPT_POST => true, CURLOPT_POSTFIELDS => json_encode($value), CURLOPT_HTTPHEADER => $headers];
    return call($path, $options, 10);
}

function analyze(?string $callback, array $picture, array $asked)
{
    // curl writes true as 1, and false and null as nothing.
    $fields = ['callback' => $callback] + $asked + ['language' => 'fr_FR'] + $picture;
    $options = [CURLOPT_POST => true, CURLOPT_POSTFIELDS => $fields, CURLOPT_USERAGENT => 'PiwigoAI Plugin'];
    return call('/analyze', $options, 0);
}

function collected(int $count): array
{
    for ($found = []; count($found) < $count;) {
        $found = array_merge($found, call('/tickets', [], 10)['tickets']);
    }
    return $found;
}

$file = ['image' => new CURLFile($photo, mime_content_type_of($photo), basename($photo))];
$all = ['caption' => true, 'tagging' => true, 'ocr' => true];

function mime_content_type_of(string $photo): string
{
    return getimagesize($photo)['mime'] ?? 'application/octet-stream';
}

$said = [
    'health' => call('/health', [], 10),
    'pong' => post('/ping', ['callback' => 'https://photos.example.org/'])['pong'],
    'before' => call('/credits', [], 10)['credits'],
];
$taken = analyze(null, $file, $all);
$said['polled'] = [$taken, collected(1)[0]];
$tags = analyze(null, $file, ['caption' => false, 'tagging' => true, 'ocr' => false]);
for ($found = []; !$found;) {
    $found = post('/tickets/poll', ['ticket_ids' => [$tags['ticket_id']]])['tickets'];
}
post('/tickets/ack', ['ticket_ids' => [$tags['ticket_id']]]);
$gone = post('/tickets/poll', ['ticket_ids' => [$tags['ticket_id']]])['not_found'];
$said['acknowledged'] = [$tags, $found[0], $gone === [$tags['ticket_id']]];
$said['pushed'] = analyze($callback, $file, $all);
$said['refused'] = analyze(null, ['image' => 'no file'], $all);
echo json_encode($said);
