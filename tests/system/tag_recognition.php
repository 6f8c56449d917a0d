<?php
// SPDX-License-Identifier: Apache-2.0
// Sends pictures as Piwigo's plugin Tag Recognition (9c950e5) does with its API "Azure", all at once as its batch manager has it done,
// and prints what the plugin would make of each answer: the first tags' names, or "Api Error".
[, $endpoint, $key, $language, $limit, $times, $file] = $argv;
$picture = file_get_contents($file);
$all = curl_multi_init();
$calls = [];
for ($i = 0; $i < (int) $times; $i++) {
    $call = curl_init();
    curl_setopt_array($call, [
        CURLOPT_URL => "$endpoint/vision/v3.2/analyze?visualFeatures=tags&language=$language",
        CURLOPT_CUSTOMREQUEST => 'POST',
        CURLOPT_HTTPHEADER => ['Content-Type: application/octet-stream', "Ocp-Apim-Subscription-Key: $key"],
        CURLOPT_POST => 1,
        CURLOPT_POSTFIELDS => $picture,
        CURLOPT_RETURNTRANSFER => true,
    ]);
    curl_multi_add_handle($all, $call);
    $calls[] = $call;
}
do {
    curl_multi_exec($all, $running);
    curl_multi_select($all);
} while ($running);
$found = [];
foreach ($calls as $call) {
    $answer = json_decode(curl_multi_getcontent($call));
    $named = is_object($answer) && property_exists($answer, 'tags') ? array_column($answer->tags, 'name') : null;
    $found[] = $named === null ? 'Api Error' : array_slice($named, 0, (int) $limit);
}
echo json_encode($found);
